"""Harmless rows, by which a database that refuses everything is told from one that refuses what is odd."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from log_events.wire import LogEvent
from worker.columns import Column, Kind, columns_of

LONG_TEXT = "x" * 500
"""For columns whose length nothing bounds."""


def specimens_of(struct: type[LogEvent], moment: datetime) -> list[LogEvent]:
    """Two events of *moment* that every database at its head takes: all columns filled, and as few as may be."""
    columns = columns_of(struct).values()
    full: dict[str, Any] = {column.name: _value(column, moment) for column in columns}
    bare: dict[str, Any] = {column.name: _value(column, moment) if column.required else None for column in columns}
    return [struct(**full), struct(**bare)]


def _value(column: Column, moment: datetime) -> Any:
    if column.kind is Kind.UUID:
        return uuid4()
    if column.kind is Kind.TEXT:
        return LONG_TEXT if column.max_length is None else "x" * column.max_length
    return {
        Kind.LEVEL: "INFO",
        Kind.JSON: "{}",
        Kind.TIME: moment,
        Kind.INTEGER: 0,
        Kind.DECIMAL: Decimal(0),
        Kind.BOOLEAN: False,
    }[column.kind]
