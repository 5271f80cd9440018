"""Events of about 400 bytes, as frames for the queue and as files that are ready for COPY."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import psycopg
from psycopg import sql

from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import encode_frame
from worker.tables import SYSTEM_LOGS

EVENTS_PER_FRAME = 200
_FILE_STEP = 1 << 18

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """*items* in runs of *size*, the last one shorter."""
    return (items[first : first + size] for first in range(0, len(items), size))


def make_events(number: int) -> Iterator[SystemLogEvent]:
    """*number* events, each with a message of some 270 characters, a request id and a JSON object."""
    for count in range(number):
        is_error = count % 50 == 0
        yield SystemLogEvent(
            id=uuid7(),
            created_at=datetime.now(UTC),
            level="ERROR" if is_error else "INFO",
            component=f"component.{count % 20}",
            message=f"event {count} " + "x" * 250,
            error_type="ValueError" if is_error else None,
            request_id=f"request-{count}",
            extra_data=json.dumps({"attempt": count % 3, "queue": "default"}),
        )


def make_frames(events: list[SystemLogEvent]) -> list[bytes]:
    """The frames of *events*, each as a producer under load fills it."""
    return [encode_frame(chunk) for chunk in chunks(events, EVENTS_PER_FRAME)]


@dataclass(frozen=True)
class ReadyFiles:
    """The same rows as files in COPY's two formats, each in as many parts as connections are to send them."""

    text: list[bytes]
    binary: list[bytes]

    @classmethod
    def read(cls, url: str, parts: int) -> "ReadyFiles":
        """Take them out of ``system_logs``, whose rows must be there."""
        with psycopg.connect(url) as connection:
            return cls(
                *([_part(connection, form, part, parts) for part in range(parts)] for form in ("TEXT", "BINARY"))
            )


def send_file(connection: psycopg.Connection, data: bytes, form: str) -> None:
    """COPY a ready file into ``system_logs``; the caller commits."""
    statement = SYSTEM_LOGS.statement("COPY {table} ({columns}) FROM STDIN ") + sql.SQL("(FORMAT {})").format(
        sql.SQL(form)
    )
    with connection.cursor().copy(statement) as copy:
        for offset in range(0, len(data), _FILE_STEP):
            copy.write(data[offset : offset + _FILE_STEP])


def _part(connection: psycopg.Connection, form: str, part: int, parts: int) -> bytes:
    query = SYSTEM_LOGS.statement("COPY (SELECT {columns} FROM {table} WHERE abs(hashtext(id::text)) % ") + sql.SQL(
        "{} = {} ORDER BY created_at, id) TO STDOUT (FORMAT {})"
    ).format(
        sql.Literal(parts),
        sql.Literal(part),
        sql.SQL(form),
    )
    with connection.cursor().copy(query) as copy:
        return b"".join(bytes(piece) for piece in copy)
