"""PostgreSQL's own log, line by line, as system logs."""

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from log_events.columns import Level
from log_events.producer import Producer
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7

_LOOK_SECONDS = 0.2
_LEVELS: dict[str, Level] = {"WARNING": "WARNING", "ERROR": "ERROR", "FATAL": "CRITICAL", "PANIC": "CRITICAL"}
_FIELDS_OF_ITS_OWN = {"timestamp", "error_severity", "message", "state_code"}

logger = logging.getLogger(__name__)


def send_postgres_log(producer: Producer, path: Path, stop: Event) -> None:
    """Send each line of the jsonlog at *path* as it is written, until *stop* is set and all lines so far are sent."""
    for line in _lines(path, stop):
        try:
            event = postgres_event(json.loads(line))
        except (ValueError, KeyError) as error:
            logger.warning(
                "A line of PostgreSQL's log was passed over", extra={"event": "line_skipped", "why": repr(error)}
            )
            continue
        producer.emit(event)


def postgres_event(entry: dict[str, Any]) -> SystemLogEvent:
    """
    Return the event of one entry of a jsonlog.

    Raises:
        KeyError: It lacks a field that every entry has.
        ValueError: Its time is none, or not in UTC.
    """
    created_at = datetime.strptime(entry["timestamp"], "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)
    severity = entry["error_severity"]
    level: Level = "DEBUG" if severity.startswith("DEBUG") else _LEVELS.get(severity, "INFO")
    rest = {name: value for name, value in entry.items() if name not in _FIELDS_OF_ITS_OWN}
    return SystemLogEvent(
        id=uuid7(int(created_at.timestamp() * 1000)),
        created_at=created_at,
        level=level,
        component=f"postgresql.{entry.get('backend_type', 'unknown')}"[:100],
        message=entry["message"],
        error_type=entry.get("state_code"),
        error_message=entry["message"] if "state_code" in entry else None,
        extra_data=json.dumps(rest),
        service="postgresql",
        host=socket.gethostname(),
    )


def _lines(path: Path, stop: Event) -> Iterator[str]:
    while not path.exists():
        if stop.wait(_LOOK_SECONDS) and not path.exists():
            return
    with path.open(encoding="utf-8", errors="replace") as file:
        begun = ""
        while True:
            is_last_look = stop.is_set()
            for piece in file:
                begun += piece
                # PostgreSQL may be in the middle of a line.
                if begun.endswith("\n"):
                    yield begun
                    begun = ""
            if is_last_look:
                return
            stop.wait(_LOOK_SECONDS)
