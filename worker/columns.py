"""What each field of an event may hold, read once from the event structs themselves."""

import types
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, auto
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from msgspec import Meta

from log_events.columns import JsonText, Text
from log_events.wire import LogEvent


class Kind(Enum):
    """The types that columns have."""

    TEXT = auto()
    LEVEL = auto()
    JSON = auto()
    UUID = auto()
    TIME = auto()
    INTEGER = auto()
    DECIMAL = auto()
    BOOLEAN = auto()


POSTGRES_TYPES = {
    Kind.TEXT: "text",
    Kind.LEVEL: "text",
    Kind.JSON: "jsonb",
    Kind.UUID: "uuid",
    Kind.TIME: "timestamptz",
    Kind.INTEGER: "int4",
    Kind.DECIMAL: "numeric",
    Kind.BOOLEAN: "bool",
}
"""The types that a binary COPY sends; varchar takes text's bytes as they are."""

_KINDS = {
    str: Kind.TEXT,
    UUID: Kind.UUID,
    datetime: Kind.TIME,
    int: Kind.INTEGER,
    Decimal: Kind.DECIMAL,
    bool: Kind.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One field of an event."""

    name: str
    kind: Kind
    required: bool
    max_length: int | None
    """In characters; None where only MAX_TEXT_BYTES bounds it."""


@cache
def columns_of(struct: type[LogEvent]) -> dict[str, Column]:
    """The columns of an event struct, by name, in COPY order."""
    hints = get_type_hints(struct, include_extras=True)
    return {name: _column(name, hints[name]) for name in struct.__struct_fields__}


def _column(name: str, hint: Any) -> Column:
    arguments = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    required = type(None) not in arguments
    annotation = next(argument for argument in arguments if argument is not type(None))
    return Column(name, _kind(annotation), required, _max_length(annotation))


def _kind(annotation: Any) -> Kind:
    if annotation == JsonText:
        return Kind.JSON
    if get_origin(annotation) is Literal:
        return Kind.LEVEL
    return _KINDS[get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation]


def _max_length(annotation: Any) -> int | None:
    if annotation == Text or get_origin(annotation) is not Annotated:
        return None
    meta = get_args(annotation)[1]
    return meta.max_length if isinstance(meta, Meta) else None
