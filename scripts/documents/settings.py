"""The environment variables that the processes read, from their own settings classes."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic_settings import BaseSettings

from api.settings import ApiSettings
from documents.markdown import markdown_table, sentence
from log_events.producer_settings import FIELDS
from worker.settings import WorkerSettings

LABELS = {"worker": "Worker", "api": "API", "producer": "Producer"}


@dataclass(frozen=True)
class Setting:
    """One environment variable of one process."""

    variable: str
    reader: str
    default: str
    meaning: str


def pydantic_settings(reader: str, settings: type[BaseSettings]) -> Iterator[Setting]:
    """What a process reads through a settings class."""
    # What processes have in common comes after what is a process's own.
    for name, field in sorted(settings.model_fields.items(), key=lambda item: item[0] not in settings.__annotations__):
        default = "required" if field.is_required() else written_default(field.default)
        yield Setting(name.upper(), reader, default, field.description or "")


def producer_settings() -> Iterator[Setting]:
    """What whoever sends log events reads."""
    for field in FIELDS:
        default = "required" if field.default is None else written_default(field.default or None)
        yield Setting(field.variable, "producer", default, field.meaning)


def written_default(value: object) -> str:
    """A default as it would be written in the environment."""
    if value is None:
        return "not set"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def settings_section() -> str:
    """README's table of environment variables: one row each, whichever processes read it."""
    found: dict[str, list[Setting]] = {}
    for setting in [
        *pydantic_settings("worker", WorkerSettings),
        *pydantic_settings("api", ApiSettings),
        *producer_settings(),
    ]:
        found.setdefault(setting.variable, []).append(setting)
    rows = [
        (
            f"`{variable}`",
            ", ".join(setting.reader for setting in settings),
            " / ".join(dict.fromkeys(setting.default for setting in settings)),
            meaning_of(settings),
        )
        for variable, settings in found.items()
    ]
    return markdown_table(("Variable", "Read by", "Default", "Meaning"), rows)


def meaning_of(settings: list[Setting]) -> str:
    """What a variable means; where processes take it for their own purposes, each of these."""
    meanings = {setting.reader: sentence(setting.meaning) for setting in settings}
    # A URL leads every process to the same server, however each of them words it.
    if settings[0].variable.endswith("_URL") or len(set(meanings.values())) == 1:
        return sentence(settings[0].meaning)
    return " ".join(f"{LABELS[reader]}: {meaning}" for reader, meaning in meanings.items())
