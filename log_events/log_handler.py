"""The logging module's way into the log queue: a handler that turns records into ``system_log`` events."""

import logging
import socket
import traceback
from datetime import UTC, datetime

from log_events.error_text import error_message, error_name
from log_events.extra_data import extra_json, shown
from log_events.identifiers import NO_IDENTIFIERS, split_identifiers
from log_events.levels import level_of_number
from log_events.producer import Producer, usable_default_producer
from log_events.redaction import DEFAULT_REDACTOR, Redactor
from log_events.safe_text import clean_text, cut_text, encode_cleaned
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7

_RECORD_ATTRIBUTES = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_NOT_EXTRA = _RECORD_ATTRIBUTES | {"message", "asctime", "taskName"}
"""What a record has by itself, from a formatter, or since Python 3.12."""
_LEVELS = {number: level_of_number(number) for number in range(10, 60, 10)}
_MOST_FAULT_CHARS = 1000

ErrorColumns = tuple[str | None, str | None, str | None]
"""error_type, error_message, stack_trace."""
_NO_ERROR: ErrorColumns = (None, None, None)


class LogHandler(logging.Handler):
    """
    Sends records to the log queue; never waits for Redis, never raises.

    ``extra`` fields ``user_id``, ``company_id``, ``request_id``, ``trace_id`` and ``span_id`` go into their columns
    where they fit; everything else in ``extra`` goes into ``extra_data``.  A formatter is not used: each part has its
    column.  What the producer's own threads log, the Redis client's lines among it, is left out.

    Args:
        level: As for any handler.
        service: Name of the program in its events; by default its producer's ``LOG_SERVICE_NAME``.
        host: Name of the machine; by default the one it calls itself.
        producer: By default the process's own, made from the environment when the first record comes.
        redactor: Takes secrets out of events; by default its producer's.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        service: str | None = None,
        host: str | None = None,
        producer: Producer | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        super().__init__(level)
        self._redactor = redactor or DEFAULT_REDACTOR
        self._has_own_redactor = redactor is not None
        self._service = None if service is None else clean_text(service)
        self._host = clean_text(host or socket.gethostname())
        self._producer: Producer | None = None
        if producer is not None:
            self._use(producer)

    def handle(self, record: logging.LogRecord) -> bool:
        """As any handler does, but without its lock, which nothing here needs: no caller waits for another."""
        verdict: object = self.filter(record)
        if verdict:
            self.emit(
                verdict if isinstance(verdict, logging.LogRecord) else record
            )  # since 3.12 a filter may replace it
        return bool(verdict)

    def emit(self, record: logging.LogRecord) -> None:
        """Buffer *record* as an event; a record that cannot be rendered becomes an event that says so."""
        producer = self._producer or self._find_producer()
        if producer is None:
            return
        try:
            try:
                event = self._redactor.event(self._event(record))
                encoded = encode_cleaned(event)
            except Exception as exc:  # noqa: BLE001 - foreign code runs in here, and logging must not break its caller
                event = self._redactor.event(self._fault(record, exc))
                encoded = encode_cleaned(event)
            producer.put(encoded, event.level)
        except Exception:  # noqa: BLE001 - not even the fault could be told
            producer.count_dropped("unreadable")

    def flush(self) -> None:
        """Have buffered events sent now, without waiting for it: `Producer.flush` waits."""
        if self._producer is not None:
            self._producer.flush(timeout_seconds=0)

    def _find_producer(self) -> Producer | None:
        producer = usable_default_producer()
        if producer is not None:
            self._use(producer)
        return producer

    def _use(self, producer: Producer) -> None:
        if self._service is None:
            self._service = producer.settings.service_name
        if not self._has_own_redactor:
            self._redactor = producer.redactor
        self._producer = producer

    def _event(self, record: logging.LogRecord) -> SystemLogEvent:
        created = record.created
        error, identifiers, extra = _NO_ERROR, NO_IDENTIFIERS, None
        if record.exc_info or record.exc_text or record.stack_info:
            error = _error_of(record)
        if len(record.__dict__) > len(_RECORD_ATTRIBUTES):
            identifiers, rest = split_identifiers({k: v for k, v in record.__dict__.items() if k not in _NOT_EXTRA})
            extra = extra_json(rest) if rest else None
        return SystemLogEvent(
            uuid7(int(created * 1000)),
            datetime.fromtimestamp(created, UTC),
            _LEVELS.get(record.levelno) or level_of_number(record.levelno),
            clean_text(record.name or "root"),
            _message_of(record),
            *error,
            identifiers.user_id,
            identifiers.company_id,
            identifiers.request_id,
            extra,
            identifiers.trace_id,
            identifiers.span_id,
            self._service,
            self._host,
        )

    def _fault(self, record: logging.LogRecord, exc: Exception) -> SystemLogEvent:
        return SystemLogEvent(
            id=uuid7(),
            created_at=datetime.now(UTC),
            level=_LEVELS.get(record.levelno, "ERROR"),
            component=clean_text(str(record.name)),
            message=clean_text(cut_text(f"A record that cannot be rendered: {shown(record.msg)}", _MOST_FAULT_CHARS)),
            error_type=error_name(exc),
            error_message=cut_text(error_message(exc), _MOST_FAULT_CHARS),
            service=self._service,
            host=self._host,
        )


def _message_of(record: logging.LogRecord) -> str:
    try:
        return clean_text(record.getMessage())
    except Exception as exc:  # noqa: BLE001 - str() of a foreign object, or arguments that do not fit the message
        text = (
            f"{shown(record.msg)} cannot be filled with {shown(record.args)}: {error_name(exc)}: {error_message(exc)}"
        )
        return clean_text(cut_text(text, _MOST_FAULT_CHARS))


def _error_of(record: logging.LogRecord) -> ErrorColumns:
    name = message = None
    parts = []
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        error = record.exc_info[1]
        name, message = error_name(error), error_message(error)
        parts.append("".join(traceback.format_exception(error)))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return name, message, clean_text("\n".join(parts)) if parts else None
