"""What the command line says, and with which exit code, when a command ends in an error that has a known cure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headhunter.redaction import without_passwords

if TYPE_CHECKING:
    from pydantic import ValidationError

WRONG_USAGE = 2
PERMANENT = 70
TEMPORARY = 75

# By name, because importing what defines them would cost every command the time of all.
_EXIT_CODES = {
    "redis.exceptions.AuthenticationError": PERMANENT,
    "redis.exceptions.ConnectionError": TEMPORARY,
    "redis.exceptions.TimeoutError": TEMPORARY,
    "redis.exceptions.OutOfMemoryError": TEMPORARY,
    "redis.exceptions.ReadOnlyError": TEMPORARY,  # a replica, after a failover perhaps the primary
    "servers.errors.FolderInUseError": WRONG_USAGE,
    "servers.errors.ServerError": PERMANENT,
    "redis.exceptions.RedisError": PERMANENT,
}
_POSTGRES_ERRORS = {"psycopg.Error", "sqlalchemy.exc.DBAPIError"}


@dataclass(frozen=True)
class Fault:
    """An error as its reader wants it: a message that tells what to do, and an exit code."""

    message: str
    exit_code: int


def explained(error: Exception) -> Fault | None:
    """Return *error* as a Fault, or None where only its traceback can help."""
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    if "pydantic_core._pydantic_core.ValidationError" in names:
        return Fault(settings_message(error), WRONG_USAGE)  # type: ignore[arg-type]  # known by its name
    exit_code = getattr(error, "exit_code", None)
    if not isinstance(exit_code, int):
        exit_code = next((_EXIT_CODES[name] for name in names if name in _EXIT_CODES), None)
    if not _POSTGRES_ERRORS.isdisjoint(names):
        exit_code = _exit_code_of_postgres(error)
    return None if exit_code is None else Fault(f"headhunter: {without_passwords(str(error))}", exit_code)


def _exit_code_of_postgres(error: Exception) -> int:
    from migrator.classifier import ErrorClass, classify  # noqa: PLC0415  (such an error has imported the driver)

    return PERMANENT if classify(error) is ErrorClass.PERMANENT else TEMPORARY


def settings_message(error: "ValidationError") -> str:
    """Return one message that lists every fault by environment variable, never with the value that was given."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"  {_variable(detail['loc'])}{_reason(detail)}" for detail in details]
    count = "1 setting is" if len(lines) == 1 else f"{len(lines)} settings are"
    return "\n".join([f"headhunter: {count} wrong; nothing was started.", *lines])


def _variable(location: Sequence[int | str]) -> str:
    return f"{str(location[0]).upper()} " if location else ""


def _reason(detail: Any) -> str:
    if detail["type"] == "missing":
        return "is not set"
    return without_passwords(str(detail["msg"]).removeprefix("Value error, "))
