"""
Statements for pages: the rows of a filter in windows of time, newest first, from a place on.

A place is a row's key, so page 2,000 costs what page 1 does.  Every statement is bounded by time and by rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final, LiteralString

from psycopg import sql

from logs_db.models import LlmLog
from logs_db.payloads import with_payloads
from logs_db.queries.statement import PageQuery, Position, Window

if TYPE_CHECKING:
    from logs_db.models import LogsBase
    from logs_db.queries.filters import LogFilter

PAYLOAD_COLUMNS: Final = ("prompt", "response")

_PART: LiteralString = """
(SELECT {columns} FROM {table} WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT {limit})
"""
_WHOLE: LiteralString = "SELECT * FROM ({parts}) AS page ORDER BY created_at DESC, id DESC LIMIT {limit}"
_EDGE: LiteralString = """
SELECT created_at, id FROM {table} WHERE {conditions} ORDER BY created_at DESC, id DESC OFFSET {offset} LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """
    A part of the time, to be read in one statement.

    Args:
        windows: The newest first, without overlap.
        after: Only what lies beyond it; None for all.
        down_to: The last row to be looked at; None for all.
        looked_rows: How many rows are looked at one by one, where that was counted.
    """

    windows: tuple[Window, ...]
    after: Position | None = None
    down_to: Position | None = None
    looked_rows: int = 0


def page(filters: LogFilter, stretch: Stretch, *, limit: int, payloads: bool = False) -> PageQuery:
    """
    The *limit* newest rows of *stretch* that match; columns as in the table.

    Prompts and responses, which may be large, are null unless *payloads* are asked for.
    """
    conditions = filters.conditions
    parameters = conditions.parameters | {"limit": limit}
    parts = []
    for number, window in enumerate(stretch.windows):
        bounds, values = _bounds(window, stretch, number)
        parameters |= values
        parts.append(
            sql.SQL(_PART).format(
                columns=_columns(filters.rows, payloads=payloads),
                table=table_of(filters.rows),
                conditions=sql.SQL(" AND ").join([*bounds, *conditions.parts]),
                limit=sql.Placeholder("limit"),
            )
        )
    statement = sql.SQL(_WHOLE).format(parts=sql.SQL(" UNION ALL ").join(parts), limit=sql.Placeholder("limit"))
    if payloads and filters.rows is LlmLog:
        statement = with_payloads(statement, list(LlmLog.__table__.columns.keys()))
        parameters |= {"since": stretch.windows[-1].since, "until": stretch.windows[0].until}
    return PageQuery(statement, parameters)


def edge(filters: LogFilter, stretch: Stretch, *, rows: int) -> PageQuery:
    """The key of the row that is the *rows*-th of the one window of *stretch*; nothing where there are fewer."""
    conditions = filters.conditions
    bounds, values = _bounds(stretch.windows[0], stretch, 0)
    statement = sql.SQL(_EDGE).format(
        table=table_of(filters.rows),
        conditions=sql.SQL(" AND ").join([*bounds, *conditions.parts]),
        offset=sql.Placeholder("offset"),
    )
    return PageQuery(statement, conditions.parameters | values | {"offset": rows - 1})


def table_of(model: type[LogsBase]) -> sql.Identifier:
    """The table of *model*, by its whole name."""
    return sql.Identifier("public", model.__tablename__)


def _bounds(window: Window, stretch: Stretch, number: int) -> tuple[list[sql.Composable], dict[str, object]]:
    since, until = f"since_{number}", f"until_{number}"
    parameters: dict[str, object] = {since: window.since, until: window.until}
    bounds: list[sql.Composable] = [
        sql.SQL("created_at >= {} AND created_at < {}").format(sql.Placeholder(since), sql.Placeholder(until)),
    ]
    # The first half prunes partitions, which PostgreSQL does not do by a comparison of rows.
    if stretch.after is not None:
        bounds.append(sql.SQL("created_at <= %(after_time)s AND (created_at, id) < (%(after_time)s, %(after_id)s)"))
        parameters |= {"after_time": stretch.after.created_at, "after_id": stretch.after.id}
    if stretch.down_to is not None:
        bounds.append(sql.SQL("created_at >= %(edge_time)s AND (created_at, id) >= (%(edge_time)s, %(edge_id)s)"))
        parameters |= {"edge_time": stretch.down_to.created_at, "edge_id": stretch.down_to.id}
    return bounds, parameters


def _columns(model: type[LogsBase], *, payloads: bool) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("NULL::text AS {}").format(sql.Identifier(name))
        if model is LlmLog and name in PAYLOAD_COLUMNS and not payloads
        else sql.Identifier(name)
        for name in map(attrgetter("name"), model.__table__.columns)
    )
