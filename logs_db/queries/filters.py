"""
Which rows a read wants, and who can answer each condition.

Rollups count level, component and error type, and provider, model and status of calls.  Indexes serve those and the
ids.  Text and extra data are known to the rows alone: such a read looks at so many rows and says how far it got.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, LiteralString, Self

from psycopg import sql

from logs_db.models import LlmLog, LlmLogDelta, LlmLogHour, LogsBase, SystemLog, SystemLogDelta, SystemLogHour

if TYPE_CHECKING:
    from uuid import UUID

_BY_ROWS: Final[dict[str, LiteralString]] = {
    "text": "message ILIKE %(text)s",
    "extra_contains": "extra_data @> %(extra_contains)s::jsonb",
    "extra_path": "extra_data @? %(extra_path)s::jsonpath",
}
_LIKE_METACHARACTERS: Final = str.maketrans({character: f"\\{character}" for character in "\\%_"})


@dataclass(frozen=True, slots=True)
class Conditions:
    """What follows WHERE, to be joined by AND, and the values that it names."""

    parts: tuple[sql.Composable, ...]
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """
    What rows of both tables can be chosen by; None and () mean any.

    `extra_contains` is the text of a JSON value that extra data must contain, `extra_path` an SQL/JSON path that must
    find something in it.
    """

    rows: ClassVar[type[LogsBase]]
    hours: ClassVar[type[LogsBase]]
    deltas: ClassVar[type[LogsBase]]
    counted_columns: ClassVar[tuple[str, ...]]
    failed: ClassVar[LiteralString]
    """What the rollups call a row with an error."""
    failed_rows: ClassVar[LiteralString]
    """The same, asked of the rows."""
    indexed_columns: ClassVar[tuple[str, ...]]
    """Of which a value has few rows, and an index that finds them."""
    parts_worth_counts: ClassVar[int] = 2
    """Counted conditions from which on the rollups are asked: a single one has an index that is as quick."""

    id: UUID | None = None
    error_type: str | None = None
    errors_only: bool = False
    request_id: str | None = None
    trace_id: str | None = None
    user_id: UUID | None = None
    company_id: UUID | None = None
    text: str | None = None
    extra_contains: str | None = None
    extra_path: str | None = None

    @property
    def conditions(self) -> Conditions:
        """Those on the rows."""
        given = [column for column in self._equal_columns() if getattr(self, column)]
        parts = [_equal(column, getattr(self, column)) for column in given]
        values: dict[str, object] = {column: _value(getattr(self, column)) for column in given}
        if self.errors_only:
            parts.append(sql.SQL(self.failed_rows))
        for name, condition in _BY_ROWS.items():
            if getattr(self, name) is not None:
                parts.append(sql.SQL(condition))
                values[name] = getattr(self, name)
        if self.text is not None:
            values["text"] = f"%{self.text.translate(_LIKE_METACHARACTERS)}%"
        return Conditions(tuple(parts), values)

    @property
    def counted_conditions(self) -> Conditions:
        """Those on the rollups, which together let through every hour that holds a row of this filter."""
        given = [column for column in self.counted_columns if getattr(self, column)]
        parts = [_equal(column, getattr(self, column)) for column in given]
        if self.errors_only or (self.error_type and "error_type" not in given):
            parts.append(sql.SQL(self.failed))
        return Conditions(tuple(parts), {column: _value(getattr(self, column)) for column in given})

    @property
    def is_selective_by_counts(self) -> bool:
        """Whether the rollups know better than any index where such rows are."""
        is_indexed = any(getattr(self, column) for column in self.indexed_columns)
        return not is_indexed and len(self.counted_conditions.parts) >= self.parts_worth_counts

    @property
    def without_scan(self) -> Self:
        """The same without the conditions that only the rows can answer."""
        return replace(self, text=None, extra_contains=None, extra_path=None)

    def _equal_columns(self) -> tuple[str, ...]:
        others = ("id", "error_type", "request_id", "trace_id", "user_id", "company_id")
        return (*self.counted_columns, *(column for column in others if column not in self.counted_columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemLogFilter(LogFilter):
    """Which rows of ``system_logs``."""

    rows = SystemLog
    hours = SystemLogHour
    deltas = SystemLogDelta
    counted_columns = ("level", "component", "error_type")
    indexed_columns = ("id", "request_id", "user_id", "error_type")
    failed = "error_type <> ''"
    # The words of the partial index idx_system_logs_errors come first, so that it serves.
    failed_rows = "error_type IS NOT NULL AND error_type <> ''"

    level: Sequence[str] = ()
    component: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmLogFilter(LogFilter):
    """Which rows of ``llm_logs``, which have no message to look for a text in."""

    rows = LlmLog
    hours = LlmLogHour
    deltas = LlmLogDelta
    counted_columns = ("provider", "model", "status")
    indexed_columns = ("id", "request_id")
    failed = "errors > 0"
    failed_rows = "error_type IS NOT NULL"
    # llm_logs has no index that serves any of these.
    parts_worth_counts = 1

    provider: str | None = None
    model: str | None = None
    status: str | None = None


def _value(given: object) -> object:
    if isinstance(given, str) or not isinstance(given, Sequence):
        return given
    return given[0] if len(given) == 1 else list(given)


def _equal(column: str, given: object) -> sql.Composable:
    # A single value as such: only then do an index on it and the time give rows in order.
    comparison: LiteralString = "{} = ANY({})" if isinstance(_value(given), list) else "{} = {}"
    return sql.SQL(comparison).format(sql.Identifier(column), sql.Placeholder(column))
