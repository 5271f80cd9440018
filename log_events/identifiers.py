"""The identifiers that both tables have columns for: who, which request, which trace."""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import UUID

from log_events.safe_text import clean_text

REQUEST_ID_CHARS = 100
TRACE_ID_CHARS = 32
SPAN_ID_CHARS = 16


class Identifiers(NamedTuple):
    """Values that fit their columns."""

    user_id: UUID | None = None
    company_id: UUID | None = None
    request_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


NO_IDENTIFIERS = Identifiers()


def split_identifiers(extra: Mapping[str, object]) -> tuple[Identifiers, dict[str, object]]:
    """The identifiers in *extra* that fit their columns, and everything else, those that do not fit among it."""
    fitting: dict[str, UUID | str] = {}
    rest: dict[str, object] = {}
    for name, value in extra.items():
        read = _READERS.get(name)
        if read is None:
            rest[name] = value
        elif (identifier := read(value)) is not None:
            fitting[name] = identifier
        elif value is not None:
            rest[name] = value
    return Identifiers(**fitting), rest  # type: ignore[arg-type]  # each reader returns its column's type


def _uuid(value: object) -> UUID | None:
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            return None
    return None


def _text(most_chars: int) -> Callable[[object], str | None]:
    def read(value: object) -> str | None:
        if isinstance(value, UUID | int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and 0 < len(value) <= most_chars:
            return clean_text(value)
        return None

    return read


def _hexadecimal(digits: int) -> Callable[[object], str | None]:
    """Tracers hold these ids as integers and write them as lower-case hexadecimal of fixed width."""
    as_text = _text(digits)

    def read(value: object) -> str | None:
        if isinstance(value, int) and 0 < value < 16**digits:
            return f"{value:0{digits}x}"
        return as_text(value) if isinstance(value, str) else None

    return read


_READERS: dict[str, Callable[[object], UUID | str | None]] = {
    "user_id": _uuid,
    "company_id": _uuid,
    "request_id": _text(REQUEST_ID_CHARS),
    "trace_id": _hexadecimal(TRACE_ID_CHARS),
    "span_id": _hexadecimal(SPAN_ID_CHARS),
}
