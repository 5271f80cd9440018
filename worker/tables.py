"""The tables that events are written to, and the statements that do it, made once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import sql

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.wire import LogEvent
from worker.columns import POSTGRES_TYPES, columns_of

SCHEMA = "public"


@dataclass(frozen=True, slots=True)
class Table:
    """One table, and the struct whose fields are its columns."""

    struct: type[LogEvent]
    event_type: Literal["system_log", "llm_log"]
    name: str

    @property
    def types(self) -> list[str]:
        """PostgreSQL's names of the types that a binary COPY sends."""
        return [POSTGRES_TYPES[column.kind] for column in columns_of(self.struct).values()]

    def statement(self, template: LiteralString) -> sql.Composed:
        """
        *template* with its names filled in.

        They are {table}, {staged}, {columns}, and {new_body} and {old_body} for all columns of the aliases new and old.
        """
        return sql.SQL(template).format(
            table=sql.Identifier(SCHEMA, self.name),
            staged=sql.Identifier("pg_temp", f"staged_{self.name}"),
            columns=self._columns(),
            new_body=self._columns("new"),
            old_body=self._columns("old"),
        )

    def _columns(self, *alias: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(*alias, name) for name in columns_of(self.struct))


SYSTEM_LOGS = Table(SystemLogEvent, "system_log", "system_logs")
LLM_LOGS = Table(LlmLogEvent, "llm_log", "llm_logs")

TABLES = (SYSTEM_LOGS, LLM_LOGS)

COPY_NEW = {table: table.statement("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") for table in TABLES}


def copy_rows(
    cursor: psycopg.Cursor[Any], statement: sql.Composed, types: list[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Send *rows* with a binary COPY *statement*; nothing is sent where there are none."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    with cursor.copy(statement) as copy:
        copy.set_types(types)
        copy.write_row(first)
        for row in rows:
            copy.write_row(row)
