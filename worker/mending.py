"""
From loose fields to an event: what the table of verdicts lets pass is mended, the rest is rejected.

All of it is a pure function of the event's bytes and its stream entry: a redelivered event gets the same answer.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec

from log_events.columns import INT32_MAX
from log_events.levels import normalised_level
from log_events.llm_log import LlmLogEvent
from log_events.safe_text import clean_text
from log_events.system_log import SystemLogEvent
from log_events.wire import LogEvent
from worker.amounts import are_storable
from worker.columns import Column, Kind, columns_of
from worker.json_text import parse_json
from worker.texts import Truncation, fitted, storable_json
from worker.verdicts import Reason, RejectedError

EVENT_TYPES: dict[str, type[LogEvent]] = {"system_log": SystemLogEvent, "llm_log": LlmLogEvent}

CLAIMED_TIME = "claimed_created_at"
"""Key of ``extra_data`` under which a redated event keeps the time that it came with."""

_encode_json = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(slots=True)
class _Mend:
    """What could not stay in its column and is kept in ``extra_data``."""

    truncated: dict[str, Truncation] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)


def mend(event_type: object, fields: Mapping[str, Any], *, default_id: UUID, default_created_at: datetime) -> LogEvent:
    """
    The event of loose *fields*; *default_id* and *default_created_at* where it has none of its own.

    Raises:
        RejectedError: It cannot become a row.
    """
    struct = EVENT_TYPES.get(event_type) if isinstance(event_type, str) else None
    if struct is None:
        raise RejectedError(Reason.UNKNOWN_TYPE, "type is missing" if event_type is None else "type is not known")
    try:
        return _mended(struct, fields, default_id, default_created_at)
    except RejectedError as exc:
        raise RejectedError(exc.reason, exc.detail, str(event_type)) from exc


def redated(fields: dict[str, Any], earliest: datetime, latest: datetime) -> dict[str, Any]:
    """*fields* without a time that cannot be used; what it said is kept, as unknown fields are, in ``extra_data``."""
    claimed = fields.get("created_at")
    if claimed is None:
        return fields
    with suppress(RejectedError):
        if earliest <= _time("created_at", claimed) <= latest:
            return fields
    return {**fields, "created_at": None, CLAIMED_TIME: str(claimed)}


def _mended(
    struct: type[LogEvent], fields: Mapping[str, Any], default_id: UUID, default_created_at: datetime
) -> LogEvent:
    columns = columns_of(struct)
    mended = _Mend(unknown={name: value for name, value in fields.items() if name not in columns and name != "type"})
    values = {name: _value(column, fields.get(name), mended) for name, column in columns.items()}
    values["id"] = values["id"] or default_id
    values["created_at"] = values["created_at"] or default_created_at
    values["extra_data"] = _extra_data(fields.get("extra_data"), mended)
    _require(columns, values)
    return struct(**values)


def _require(columns: Mapping[str, Column], values: Mapping[str, Any]) -> None:
    for name, column in columns.items():
        if column.required and values[name] is None:
            raise RejectedError(Reason.MISSING_FIELD, name)


def _value(column: Column, value: Any, mended: _Mend) -> Any:
    if value is None or column.kind is Kind.JSON:
        return None
    if column.kind is Kind.TEXT:
        return _text(column, value, mended)
    return _READERS[column.kind](column.name, value)


def _level(name: str, value: Any) -> str:
    level = normalised_level(value) if isinstance(value, str) else None
    if level is None:
        raise RejectedError(Reason.UNKNOWN_LEVEL, f"{name} is none of the five, nor a known alias")
    return level


def _text(column: Column, value: Any, mended: _Mend) -> str:
    if not isinstance(value, str):
        raise _wrong_type(column.name, "a text")
    text, truncation = fitted(clean_text(value), column.max_length)
    if truncation is not None:
        mended.truncated[column.name] = truncation
    return text


def _uuid(name: str, value: Any) -> UUID:
    try:
        return UUID(bytes=value) if isinstance(value, bytes) else UUID(value)
    except (ValueError, AttributeError, TypeError) as exc:
        raise _wrong_type(name, "a UUID") from exc


def _time(name: str, value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError) as exc:
        raise _wrong_type(name, "an ISO 8601 time") from exc
    except OverflowError as exc:
        raise RejectedError(Reason.TIMESTAMP_OUT_OF_RANGE, name) from exc


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(name, "an integer")
    if not -INT32_MAX - 1 <= value <= INT32_MAX:
        raise RejectedError(Reason.OUT_OF_RANGE, name)
    return value


def _decimal(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise _wrong_type(name, "a number")
    try:
        number = Decimal(value) if not isinstance(value, float) else Decimal(repr(value))
    except InvalidOperation as exc:
        raise _wrong_type(name, "a number") from exc
    if not are_storable((number,)):
        raise RejectedError(Reason.OUT_OF_RANGE, name)
    return number


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(name, "true or false")
    return value


_READERS: dict[Kind, Callable[[str, Any], Any]] = {
    Kind.LEVEL: _level,
    Kind.UUID: _uuid,
    Kind.TIME: _time,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.BOOLEAN: _boolean,
}


def _extra_data(value: Any, mended: _Mend) -> str | None:
    """JSON text of what the producer gave, and of what could not stay in its column."""
    given = parse_json(value.encode(errors="surrogatepass")) if isinstance(value, str) else value
    if given is not None and not isinstance(given, dict):
        raise _wrong_type("extra_data", "a JSON object")
    extra = mended.unknown | (given or {})
    if mended.truncated:
        extra["_truncated"] = {
            name: {"size_bytes": cut.size_bytes, "sha256": cut.sha256} for name, cut in mended.truncated.items()
        }
    if not extra:
        return None if given is None else "{}"
    try:
        return _encode_json(storable_json(extra)).decode()
    except (RecursionError, TypeError) as exc:
        raise _wrong_type("extra_data", "a JSON object that is not nested too deeply") from exc


def _wrong_type(name: str, expected: str) -> RejectedError:
    return RejectedError(Reason.WRONG_TYPE, f"{name} is not {expected}")
