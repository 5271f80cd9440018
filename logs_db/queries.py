"""Reads of the log tables: one page at a time, newest first, always inside a window of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import sql

from logs_db.models import LlmLog, LogsBase, SystemLog
from logs_db.payloads import with_payloads


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a read covers: *since* included, *until* not.  It bounds how many partitions are opened."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of a table's rows: its primary key."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class SystemLogFilter:
    """Which rows of ``system_logs``; None and () mean any."""

    levels: Sequence[str] = ()
    component: str | None = None
    error_type: str | None = None
    errors_only: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class LlmLogFilter:
    """Which rows of ``llm_logs``; None means any."""

    provider: str | None = None
    model: str | None = None
    status: str | None = None
    error_type: str | None = None
    errors_only: bool = False
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A statement and its parameters, for ``execute`` or ``stream`` of a psycopg cursor."""

    statement: sql.Composed
    parameters: dict[str, object]


def system_logs_page(filters: SystemLogFilter, window: Window, *, limit: int, after: Position | None) -> PageQuery:
    """The *limit* newest rows of ``system_logs`` in *window* that match, beyond *after*; columns as in the table."""
    conditions: dict[str, object] = {
        "component": filters.component,
        "error_type": filters.error_type,
        "request_id": filters.request_id,
    }
    extra = [sql.SQL("level = ANY(%(levels)s)")] if filters.levels else []
    page = _page(SystemLog, conditions, extra + _errors(errors_only=filters.errors_only), window, limit, after)
    page.parameters["levels"] = list(filters.levels)
    return page


def llm_logs_page(filters: LlmLogFilter, window: Window, *, limit: int, after: Position | None) -> PageQuery:
    """The *limit* newest rows of ``llm_logs`` in *window* that match, beyond *after*, each with its payload."""
    conditions: dict[str, object] = {
        "provider": filters.provider,
        "model": filters.model,
        "status": filters.status,
        "error_type": filters.error_type,
        "request_id": filters.request_id,
    }
    page = _page(LlmLog, conditions, _errors(errors_only=filters.errors_only), window, limit, after)
    return PageQuery(with_payloads(page.statement, list(LlmLog.__table__.columns.keys())), page.parameters)


def _errors(*, errors_only: bool) -> list[sql.SQL]:
    # The words of the partial index idx_system_logs_errors, so that it serves.
    return [sql.SQL("error_type IS NOT NULL")] if errors_only else []


def _page(
    model: type[LogsBase],
    equal: dict[str, object],
    extra: Sequence[sql.SQL],
    window: Window,
    limit: int,
    after: Position | None,
) -> PageQuery:
    parameters: dict[str, object] = {"since": window.since, "until": window.until, "limit": limit}
    conditions: list[sql.Composable] = [sql.SQL("created_at >= %(since)s AND created_at < %(until)s"), *extra]
    if after is not None:
        # The first half prunes partitions, which PostgreSQL does not do by a comparison of rows.
        conditions.append(sql.SQL("created_at <= %(after_time)s AND (created_at, id) < (%(after_time)s, %(after_id)s)"))
        parameters |= {"after_time": after.created_at, "after_id": after.id}
    for column, value in equal.items():
        if value is not None:
            conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)))
            parameters[column] = value
    statement = sql.SQL(
        "SELECT {columns} FROM {table} WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT %(limit)s"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, model.__table__.columns.keys())),
        table=sql.Identifier("public", model.__tablename__),
        conditions=sql.SQL(" AND ").join(conditions),
    )
    return PageQuery(statement, parameters)
