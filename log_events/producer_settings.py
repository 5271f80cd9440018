"""What a producer is told by its environment, read once."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from log_events.event_queue import DEFAULT_MAX_BYTES
from log_events.redaction import Redactor
from log_events.redis_client import redis_client
from log_events.spool_folder import is_supported

DEFAULT_BUFFER_BYTES = 64 * 1024 * 1024
DEFAULT_SPOOL_BYTES = 512 * 1024 * 1024
_MAX_THREADS = 64
_MAX_SERVICE_CHARS = 100
_MAX_BYTES = 1 << 50
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class SettingsField:
    """One environment variable: what documentation shows of it and how its text is understood."""

    variable: str
    attribute: str
    default: str | None
    """As it would be written in the environment; None where the variable must be set."""
    meaning: str
    parse: Callable[[str], object]
    """Raises ValueError with the end of a sentence that begins with the variable's name and never shows a secret."""


@dataclass(frozen=True, kw_only=True)
class ProducerSettings:
    """
    Settings of one producer.

    Raises:
        ValueError: Everything that is wrong, in one message without any secret.
    """

    redis_url: str = field(repr=False)
    thread_pool_size: int = 2
    queue_max_bytes: int = DEFAULT_MAX_BYTES
    buffer_max_bytes: int = DEFAULT_BUFFER_BYTES
    service_name: str | None = None
    spool_folder: str | None = None
    """
    None unless it is set: only who runs a program knows which disk outlives its container, has room and is private;
    a folder chosen for him would promise what it may not hold.
    """
    spool_max_bytes: int = DEFAULT_SPOOL_BYTES
    redact_pattern: str | None = field(default=None, repr=False)
    redact_keys: str | None = None
    redact_prompts: bool = True
    flush_interval_seconds: float = 0.05
    """How long an event waits for company before its frame is sent."""
    close_timeout_seconds: float = 5.0
    """How long the end of the process waits for what is still buffered."""

    def __post_init__(self) -> None:
        """Hold settings that were not read from an environment to the same rules."""
        texts = {known.variable: getattr(self, known.attribute) for known in FIELDS}
        _parsed({variable: str(value) for variable, value in texts.items() if value is not None})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ProducerSettings":
        """Settings out of *environment*, by default the process's own; an empty variable counts as unset."""
        return cls(**_parsed(os.environ if environment is None else environment))


def redactor_of(settings: ProducerSettings) -> Redactor:
    """The redactor that *settings* describe."""
    return Redactor(
        () if settings.redact_pattern is None else (settings.redact_pattern,),
        keys=() if settings.redact_keys is None else settings.redact_keys.split(","),
        prompts=settings.redact_prompts,
    )


def _parsed(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, object] = {}
    faults = []
    for known in FIELDS:
        text = environment.get(known.variable, "").strip() or known.default
        if text is None:
            faults.append(f"{known.variable} is not set: {known.meaning}")
        elif text:
            try:
                values[known.attribute] = known.parse(text)
            except ValueError as exc:
                faults.append(f"{known.variable} {exc}")
    if faults:
        raise ValueError("the settings of the log producer are wrong: " + "; ".join(faults))
    return values


def _redis_url(text: str) -> str:
    path = ""
    try:
        path = urlsplit(text).path.strip("/") if not text.startswith("unix:") else ""
        redis_client(text, connect_timeout_seconds=1, answer_timeout_seconds=1).connection_pool.make_connection()
    except Exception:  # noqa: BLE001 - whatever the client says may hold the password
        fault = (
            "is not a Redis URL like redis://:password@host:6379/0 (also rediss:// and unix://, "
            "special characters of the password percent-encoded, options of the Redis client only)"
        )
        raise ValueError(fault) from None
    if path and not path.isdecimal():
        raise ValueError("ends in a path that is not the number of a Redis database")
    return text


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() else -1
        if not low <= number <= high:
            raise ValueError(f"is {text!r}, not a whole number from {low} to {high}")
        return number

    return parse


def _folder(text: str) -> str:
    if not Path(text).is_absolute():
        raise ValueError(f"is {text!r}, not an absolute path")
    if not is_supported():
        raise ValueError("needs a system with POSIX file locks")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"is not a regular expression ({exc})") from None
    return text


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError(f"is {text!r}, not true or false")
    return _TRUTHS[text.lower()]


def _service_name(text: str) -> str:
    if len(text) > _MAX_SERVICE_CHARS or not text.isprintable():
        raise ValueError(f"is longer than {_MAX_SERVICE_CHARS} characters or has unprintable ones")
    return text


FIELDS = (
    SettingsField(
        variable="REDIS_URL",
        attribute="redis_url",
        default=None,
        meaning="the Redis or Valkey that holds the log queue, redis://:password@host:6379/0",
        parse=_redis_url,
    ),
    SettingsField(
        variable="LOG_THREAD_POOL_SIZE",
        attribute="thread_pool_size",
        default="2",
        meaning="threads that send buffered events",
        parse=_whole_number(1, _MAX_THREADS),
    ),
    SettingsField(
        variable="LOGS_QUEUE_MAX_BYTES",
        attribute="queue_max_bytes",
        default=str(DEFAULT_MAX_BYTES),
        meaning="bytes that the queue in Redis may hold; producers keep their events while it is full",
        parse=_whole_number(1, _MAX_BYTES),
    ),
    SettingsField(
        variable="LOG_BUFFER_MAX_BYTES",
        attribute="buffer_max_bytes",
        default=str(DEFAULT_BUFFER_BYTES),
        meaning="bytes of events that a process keeps while Redis is slow, full or away; beyond, they are dropped",
        parse=_whole_number(1, _MAX_BYTES),
    ),
    SettingsField(
        variable="LOG_SPOOL_FOLDER",
        attribute="spool_folder",
        default="",
        meaning=(
            "a folder on a lasting disk where events are kept while Redis is slow, full or away, shared by processes "
            "of one user and one Redis; without it they are kept in memory only"
        ),
        parse=_folder,
    ),
    SettingsField(
        variable="LOG_SPOOL_MAX_BYTES",
        attribute="spool_max_bytes",
        default=str(DEFAULT_SPOOL_BYTES),
        meaning="bytes that the spool folder may hold, all processes together",
        parse=_whole_number(1, _MAX_BYTES),
    ),
    SettingsField(
        variable="LOG_REDACT_PATTERN",
        attribute="redact_pattern",
        default="",
        meaning=(
            "a regular expression of what else is secret; of each match the group `secret`, or all of it, is replaced"
        ),
        parse=_pattern,
    ),
    SettingsField(
        variable="LOG_REDACT_KEYS",
        attribute="redact_keys",
        default="",
        meaning="more names, separated by commas, under which extra data holds secrets",
        parse=str,
    ),
    SettingsField(
        variable="LOG_REDACT_PROMPTS",
        attribute="redact_prompts",
        default="true",
        meaning="whether secrets are also taken out of the prompts and responses of LLM calls",
        parse=_truth,
    ),
    SettingsField(
        variable="LOG_SERVICE_NAME",
        attribute="service_name",
        default="",
        meaning="the name of this service in its events, unless its logging handler is given another",
        parse=_service_name,
    ),
)
"""Every variable that a producer reads; documentation is made from this table."""
