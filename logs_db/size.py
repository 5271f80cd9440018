"""What the logs database takes on disk: by table and day, how fast it grows, and when a limit would be reached."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from logs_db.partitions import PARTITIONED_TABLES, list_partitions, server_time
from logs_db.retention_plan import VARIABLES, Retention
from migrator.partitioning import DAY

if TYPE_CHECKING:
    import psycopg

GROWTH_DAYS: Final = 7
"""Growth is the mean of so many days that are over, today not among them."""
LOOK_AHEAD_DAYS: Final = 366
"""A limit that would be reached later than that is not told."""
DEAD_ROWS: Final = 10_000
DEAD_SHARE: Final = 0.2

# All by asking the file system for the sizes of files and the statistics for rows: no table is read.
_PIECES: LiteralString = """
SELECT coalesce(p.relname, c.relname), c.relname, coalesce(pg_catalog.pg_total_relation_size(c.oid), 0),
       coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0)
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
ORDER BY 1, 2
"""
_TOTAL: LiteralString = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"


@dataclass(frozen=True, slots=True)
class Piece:
    """
    A partition, or a table that has none, with its indexes and what stands beside it in TOAST.

    Args:
        lower: Begin of what a partition covers, included; None: without, or no partition.
        upper: End of it, excluded; likewise.
        live_rows: By the statistics, so about.
        dead_rows: Likewise: what was deleted or replaced and still takes room.
    """

    name: str
    lower: datetime | None
    upper: datetime | None
    bytes: int
    live_rows: int
    dead_rows: int

    @property
    def is_bloated(self) -> bool:
        """Whether so many of its rows are dead that a VACUUM is overdue."""
        return self.dead_rows > max(DEAD_ROWS, DEAD_SHARE * (self.live_rows + self.dead_rows))

    def is_day_over(self, now: datetime) -> bool:
        """Whether it is one day, of the last `GROWTH_DAYS` that are over by *now*."""
        if self.lower is None or self.upper is None or self.upper - self.lower != DAY:
            return False
        return now - GROWTH_DAYS * DAY - DAY < self.lower and self.upper <= now


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table and all that it is made of; *growth_bytes* is by day, None where no day of it is over yet."""

    name: str
    pieces: tuple[Piece, ...]
    growth_bytes: int | None

    @property
    def bytes(self) -> int:
        """All pieces together."""
        return sum(piece.bytes for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """
    A logs database as it is at one moment.

    Args:
        total_bytes: All of the database, catalogs included; its part of the write-ahead log is not.
        tables: By name.
        measured_at: By the database's clock.
    """

    total_bytes: int
    tables: tuple[TableSize, ...]
    measured_at: datetime

    @property
    def growth_bytes(self) -> int | None:
        """What a day adds, before anything is dropped; None: no day is over yet."""
        known = [table.growth_bytes for table in self.tables if table.growth_bytes is not None]
        return sum(known) if known else None

    @property
    def bloated(self) -> list[Piece]:
        """Those pieces of which much is dead."""
        return [piece for table in self.tables for piece in table.pieces if piece.is_bloated]

    def days_until(self, max_bytes: int, kept: Retention) -> int | None:
        """
        After how many days it takes *max_bytes*, if each day adds as much as now and retention drops what is due.

        0: it does already; None: not within `LOOK_AHEAD_DAYS`, or nothing is known of its growth.
        """
        days = range(LOOK_AHEAD_DAYS + 1 if self.growth_bytes is not None else 1)
        return next((day for day in days if self._bytes_in(day, kept) >= max_bytes), None)

    def _bytes_in(self, days: int, kept: Retention) -> int:
        return self.total_bytes + sum(_change_in(table, days, kept, self.measured_at) for table in self.tables)


def read_size(connection: psycopg.Connection[Any]) -> DatabaseSize:
    """
    The sizes of all tables and partitions; it takes milliseconds, and waits where a table is being changed.

    Raises:
        psycopg.Error: The database is away, or a table stayed locked for longer than a statement may take.
    """
    now = server_time(connection)
    covered = {part.name: part for table in PARTITIONED_TABLES for part in list_partitions(connection, table)}
    pieces: defaultdict[str, list[Piece]] = defaultdict(list)
    for table, name, size, live, dead in connection.execute(_PIECES).fetchall():
        part = covered.get(name)
        lower, upper = (part.lower, part.upper) if part else (None, None)
        pieces[table].append(Piece(name, lower, upper, size, live, dead))
    total = connection.execute(_TOTAL).fetchone()
    tables = tuple(TableSize(name, tuple(found), _growth(found, now)) for name, found in sorted(pieces.items()))
    return DatabaseSize(total[0] if total else 0, tables, now)


def _growth(pieces: list[Piece], now: datetime) -> int | None:
    days = [piece.bytes for piece in pieces if piece.is_day_over(now)]
    return sum(days) // len(days) if days else None


def _change_in(table: TableSize, days: int, kept: Retention, now: datetime) -> int:
    """What *table* will have gained, and lost to retention, *days* after *now*."""
    kept_days = kept.days_of(table.name) if table.name in VARIABLES else None
    grown_days = days if kept_days is None else min(days, kept_days)
    gained = (table.growth_bytes or 0) * grown_days
    if kept_days is None:
        return gained
    horizon = now + timedelta(days=days - kept_days)
    return gained - sum(piece.bytes for piece in table.pieces if piece.upper is not None and piece.upper <= horizon)
