"""
The rollups: sums of the log tables by minute and hour, kept so that no sum is counted from rows.

Whoever writes rows appends deltas in the same transaction, so rows and sums are never apart, and no two writers meet.
Maintenance folds the deltas into minutes and hours.  What is true at any moment is both together.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from logs_db.latency_sketch import UPPER_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

ROLLUP_MINUTE_DAYS: Final = 8
"""How long sums by minute are kept; those by hour are kept for ever."""

FOLD_BATCH_ROWS: Final = 5000

_TRY_LOCK: LiteralString = (
    "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('headhunter logs rollups', 0))"
)
_UNLOCK: LiteralString = (
    "SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended('headhunter logs rollups', 0))"
)

_PRICED: LiteralString = "cost_usd > '-Infinity' AND cost_usd < 'Infinity'"  # NaN is greater than infinity
_TOKENS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_prompt_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_CALL_KEY: dict[str, LiteralString] = {
    "provider": "provider",
    "model": "model",
    "operation": "coalesce(operation, '')",
    "status": "status",
}


@dataclass(frozen=True, eq=False)
class Rollup:
    """
    One rollup: its tables, and how each of its columns comes from the rows that it counts.

    Args:
        source: The table of the rows.
        deltas: Appended by writers.
        minutes: Folded by minute; None: the rollup has no such table.
        hours: Folded by hour.
        key: What is told apart, by column an SQL expression over the rows.
        sums: What is summed, likewise; the first one counts rows.
        condition: Which rows count.
    """

    source: str
    deltas: str
    minutes: str | None
    hours: str
    key: dict[str, LiteralString]
    sums: dict[str, LiteralString]
    condition: LiteralString = "true"

    @property
    def folded(self) -> list[tuple[str, str]]:
        """Its folded tables, with the column of each that tells the time, which is also the length of its steps."""
        return [(name, unit) for name, unit in ((self.minutes, "minute"), (self.hours, "hour")) if name is not None]

    def statement(self, template: LiteralString, *, table: str | None = None, unit: str = "hour") -> sql.Composed:
        """
        *template* with its names filled in.

        They are {source}, {deltas}, {table}, {start} for its column of the time, {step} for its length, {folding} for
        the part of a statement that fills it, and {condition}; {key} and {sums} as lists of columns, {key_of_rows} and
        {sums_of_rows} as lists of what they are over rows; {summed}, {added} for an upsert, {key_as_text},
        {sums_of_counted} and {sums_of_summed} by these aliases, {first_sum}, and {places} for the ordinals of the time
        and the key.
        """
        names = sql.SQL(", ").join
        return sql.SQL(template).format(
            source=sql.Identifier("public", self.source),
            deltas=sql.Identifier("public", self.deltas),
            table=sql.Identifier("public", table or self.hours),
            start=sql.Identifier(unit),
            step=sql.Literal(f"1 {unit}"),
            folding=sql.Identifier(f"{unit}s"),
            condition=sql.SQL(self.condition),
            key=names(map(sql.Identifier, self.key)),
            sums=names(map(sql.Identifier, self.sums)),
            key_of_rows=names(map(_as, self.key.values(), self.key)),
            sums_of_rows=names(map(_as, self.sums.values(), self.sums)),
            summed=names(sql.SQL("sum({0}) AS {0}").format(sql.Identifier(name)) for name in self.sums),
            added=names(sql.SQL("{0} = folded.{0} + excluded.{0}").format(sql.Identifier(name)) for name in self.sums),
            key_as_text=names(sql.SQL("{}::text").format(sql.Identifier(name)) for name in self.key),
            sums_of_counted=names(sql.Identifier("counted", name) for name in self.sums),
            sums_of_summed=names(sql.Identifier("summed", name) for name in self.sums),
            first_sum=sql.Identifier(next(iter(self.sums))),
            places=names(sql.Literal(place) for place in range(1, len(self.key) + 2)),
        )

    @property
    def types(self) -> list[str]:
        """PostgreSQL's names of the types of a delta: minute, key, sums."""
        key = ["int4" if name == "bucket" else "text" for name in self.key]
        return ["timestamptz", *key, *("numeric" if name == "cost_usd" else "int8" for name in self.sums)]


def _as(expression: LiteralString, name: str) -> sql.Composed:
    return sql.SQL("{} AS {}").format(sql.SQL(expression), sql.Identifier(name))


SYSTEM_LOGS: Final = Rollup(
    source="system_logs",
    deltas="system_log_deltas",
    minutes="system_log_minutes",
    hours="system_log_hours",
    key={"level": "level", "component": "component", "error_type": "coalesce(error_type, '')"},
    sums={"events": "count(*)"},
)
LLM_LOGS: Final = Rollup(
    source="llm_logs",
    deltas="llm_log_deltas",
    minutes="llm_log_minutes",
    hours="llm_log_hours",
    key=_CALL_KEY,
    sums={
        "calls": "count(*)",
        "errors": "count(error_type)",
        "prompt_tokens": "coalesce(sum(prompt_tokens), 0)",
        "completion_tokens": "coalesce(sum(completion_tokens), 0)",
        "total_tokens": "coalesce(sum(total_tokens), 0)",
        "cached_prompt_tokens": "coalesce(sum(cached_prompt_tokens), 0)",
        "cache_write_tokens": "coalesce(sum(cache_write_tokens), 0)",
        "reasoning_tokens": "coalesce(sum(reasoning_tokens), 0)",
        "cost_usd": f"coalesce(sum(cost_usd) FILTER (WHERE {_PRICED}), 0)",
        "unpriced_calls": f"count(*) FILTER (WHERE ({_PRICED}) IS NOT TRUE)",
        "latency_ms": "coalesce(sum(latency_ms), 0)",
    },
)
LLM_LATENCIES: Final = Rollup(
    source="llm_logs",
    deltas="llm_latency_deltas",
    minutes=None,
    hours="llm_latency_hours",
    key=_CALL_KEY | {"bucket": "width_bucket(latency_ms::bigint, %(above_ms)s::bigint[])"},
    sums={"calls": "count(*)"},
    condition="latency_ms IS NOT NULL",
)
ROLLUPS: Final = (SYSTEM_LOGS, LLM_LOGS, LLM_LATENCIES)

ABOVE_MS: Final = [upper + 1 for upper in UPPER_MS]
"""Parameter above_ms of statements over rows: the first millisecond beyond each bucket."""

_COPY: LiteralString = "COPY {deltas} (minute, {key}, {sums}) FROM STDIN (FORMAT BINARY)"
_STATEMENTS: Final = {rollup: rollup.statement(_COPY) for rollup in ROLLUPS}

_TAKE: LiteralString = """
WITH taken AS (
    DELETE FROM {deltas} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {deltas} ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING *
)"""
_ADD: LiteralString = """, {folding} AS (
    INSERT INTO {table} AS folded ({start}, {key}, {sums})
    SELECT date_bin({step}, minute, timestamptz '2000-01-01 00:00+00'), {key}, {summed}
    FROM taken GROUP BY {places} ORDER BY {places}
    ON CONFLICT ({start}, {key}) DO UPDATE SET {added}
)"""
_DROP_MINUTES: LiteralString = "DELETE FROM {table} WHERE minute < date_trunc('hour', now(), 'UTC') - %(kept)s"


def append(cursor: psycopg.Cursor[Any], rollup: Rollup, rows: Iterable[tuple[Any, ...]]) -> None:
    """Append deltas in the transaction of *cursor*: minute, key and sums of each, in the order of the columns."""
    rows = list(rows)
    if rows:
        with cursor.copy(_STATEMENTS[rollup]) as copy:
            copy.set_types(rollup.types)
            for row in rows:
                copy.write_row(row)


def fold(connection: psycopg.Connection[Any]) -> int:
    """
    Fold all deltas into minutes and hours, and drop minutes that are too old; return how many deltas were folded.

    In batches of a transaction each: the connection must be in autocommit, and past any pooler.  Where another process
    folds or recounts, the work is left to it.
    """
    folded_rows = 0
    with holding_lock(connection) as is_ours:
        if is_ours:
            for rollup in ROLLUPS:
                folded_rows += _fold(connection, rollup)
            for rollup in (SYSTEM_LOGS, LLM_LOGS):
                drop = rollup.statement(_DROP_MINUTES, table=rollup.minutes)
                connection.execute(drop, {"kept": timedelta(days=ROLLUP_MINUTE_DAYS)})
    return folded_rows


@contextmanager
def holding_lock(connection: psycopg.Connection[Any]) -> Iterator[bool]:
    """
    Try for the lock of whoever folds or recounts, and tell whether it is held: one at a time, and nobody waits.

    It is the session's: a recount holds it before it takes its snapshot.
    """
    row = connection.execute(_TRY_LOCK).fetchone()
    is_ours = bool(row and row[0])
    try:
        yield is_ours
    finally:
        if is_ours and not connection.closed:
            connection.execute(_UNLOCK)


def _fold(connection: psycopg.Connection[Any], rollup: Rollup) -> int:
    additions = [rollup.statement(_ADD, table=table, unit=unit) for table, unit in rollup.folded]
    statement = sql.Composed([rollup.statement(_TAKE), *additions, sql.SQL(" SELECT count(*) FROM taken")])
    folded_rows = 0
    while True:
        row = connection.execute(statement, {"limit": FOLD_BATCH_ROWS}).fetchone()
        batch_rows = row[0] if row else 0
        folded_rows += batch_rows
        if batch_rows < FOLD_BATCH_ROWS:
            return folded_rows
