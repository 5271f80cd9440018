"""What a producer is told by its environment, read once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from log_events.event_queue import DEFAULT_MAX_BYTES
from log_events.redis_client import redis_client

DEFAULT_BUFFER_BYTES = 64 * 1024 * 1024
_MAX_THREADS = 64
_MAX_SERVICE_CHARS = 100
_MAX_BYTES = 1 << 50


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
        variable="LOG_SERVICE_NAME",
        attribute="service_name",
        default="",
        meaning="the name of this service in its events, unless its logging handler is given another",
        parse=_service_name,
    ),
)
"""Every variable that a producer reads; documentation is made from this table."""
