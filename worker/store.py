"""How a batch gets into the logs database: one connection, one transaction a batch, binary COPY."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format

from logs_db import dead_letters, ledger
from logs_db.ledger import EntryKey
from migrator import connections
from worker.account import Account, Outcome
from worker.brake import Brakes
from worker.decode import Batch, Dead, Row
from worker.entry import Entry
from worker.replayed import ReplayedEntry
from worker.rollup_counts import RollupCounts
from worker.staging import insert_rows
from worker.suspects import RowKey
from worker.tables import COPY_NEW, TABLES, copy_rows, rows_of

STATEMENT_TIMEOUT_SECONDS = 60

_BEGIN = sql.SQL(
    "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = {}"
).format(sql.Literal(f"{STATEMENT_TIMEOUT_SECONDS}s"))


@dataclass(frozen=True, slots=True)
class Written:
    """What one batch became."""

    rows: int = 0
    dead_letters: int = 0
    duplicates: int = 0

    @classmethod
    def of(cls, account: Account) -> "Written":
        """The totals of *account*."""
        return cls(account.total("written"), account.total("dead"), account.total("deduplicated"))

    def __add__(self, other: "Written") -> "Written":
        return Written(
            self.rows + other.rows, self.dead_letters + other.dead_letters, self.duplicates + other.duplicates
        )


class _JsonTextDumper(Dumper):
    """Sends JSON text to jsonb as it is. Source: PostgreSQL, jsonb_recv: a version byte 1, then the text."""

    format = Format.BINARY
    oid = psycopg.adapters.types["jsonb"].oid

    def dump(self, obj: str) -> bytes:
        """The bytes of *obj* as jsonb's receive function takes them."""
        return b"\x01" + obj.encode()


def connect(url: str, *, application_name: str) -> psycopg.Connection[Any]:
    """
    A connection for writing batches.

    Raises:
        psycopg.OperationalError: The server is away; try again.
    """
    connection = connections.connect(url, application_name=application_name, autocommit=True)
    connection.adapters.register_dumper(None, _JsonTextDumper)
    return connection


def maintenance_connection(url: str) -> psycopg.Connection[Any]:
    """
    A connection for changing the tables, in UTC and autocommit: each statement, or block, is a transaction of its own.

    Raises:
        psycopg.OperationalError: The server is away; try again.
    """
    return connections.connect(url, application_name="headhunter-maintenance", autocommit=True)


def write_new(connection: psycopg.Connection[Any], batch: Batch, confirm: Callable[[], None]) -> Written:
    """
    Write a batch that nobody has written before: plain COPY.

    *confirm* is called last before COMMIT: from the ledger's keys on no peer can commit the same entries.

    Raises:
        EntriesGoneError: By *confirm*; nothing was written.
        psycopg.errors.UniqueViolation: Somebody has, or two events share a key; nothing was written: `write_checked`.
        psycopg.Error: Nothing was written, unless the connection broke during COMMIT; then too: `write_checked`.
    """
    with _transaction(connection) as cursor:
        for table, events in batch.by_table():
            copy_rows(cursor, COPY_NEW[table], table.types, rows_of(table, events))
        batch.counts.append(cursor)
        dead_letters.upsert(cursor, batch.dead_letters)
        ledger.append(cursor, batch.account.rows())
        confirm()
    return Written.of(batch.account)


def write_checked(
    connection: psycopg.Connection[Any],
    rows: Sequence[Row],
    dead: Sequence[Dead],
    brakes: Brakes,
    *,
    suspects: AbstractSet[RowKey] | None = frozenset(),
    gone: AbstractSet[EntryKey] = frozenset(),
    confirm: Callable[[], None],
) -> Written:
    """
    Write events of which some may be there already: equal ones are left alone, others become dead letters.

    Args:
        connection: As `connect` makes it.
        rows: Whole entries' worth.
        dead: Likewise.
        brakes: Keep a database that refuses everything from making dead letters of it.
        suspects: The keys of rows that may be refused, which makes dead letters of them; None: any may be.
        gone: Entries that a peer may have written and the ledger forgotten: what of them is there is not counted again.
        confirm: As for `write_new`.

    Raises:
        EntriesGoneError: By *confirm*; nothing was written.
        DatabaseRefusesError: Even harmless rows are refused; nothing was written.
        psycopg.Error: Nothing was written, unless the connection broke during COMMIT; then do it again.
    """
    account, counts = Account(), RollupCounts()
    with _transaction(connection) as cursor:
        written = ledger.known_entries(cursor, {row.entry.key for row in rows} | {item.entry.key for item in dead})
        newly_dead = [item for item in dead if item.entry.key not in written]
        settled = [letter_id for item in newly_dead for letter_id in _settled(item.entry, "dead")]
        unwritten = [row for row in rows if row.entry.key not in written]
        for table in TABLES:
            of_table = [row for row in unwritten if isinstance(row.event, table.struct)]
            results = insert_rows(cursor, table, of_table, brakes[table], suspects) if of_table else ()
            for row, outcome, letter in results:
                settled += _settled(row.entry, outcome)
                if letter is not None:
                    newly_dead.append(Dead(letter, row.entry, row.kind))
                elif outcome == "written" or row.entry.key not in gone:
                    account.add(row.entry, row.kind, outcome)
                if outcome == "written":
                    counts.add(row.event)
        _put_aside(cursor, newly_dead, gone, account)
        dead_letters.mark_replayed(cursor, settled)
        counts.append(cursor)
        ledger.append(cursor, account.rows())
        confirm()
    return Written.of(account)


def _put_aside(
    cursor: psycopg.Cursor[Any], dead: Sequence[Dead], gone: AbstractSet[EntryKey], account: Account
) -> None:
    """Write the letters of *dead* and count them, but for those of *gone* entries that are there already."""
    doubtful = [item.letter.id for item in dead if item.entry.key in gone]
    there = dead_letters.known_ids(cursor, doubtful) if doubtful else frozenset()
    for item in dead:
        if item.letter.id not in there:
            item.count_in(account)
    dead_letters.upsert(cursor, [item.letter for item in dead])


def _settled(entry: Entry, outcome: Outcome) -> list[UUID]:
    """The dead letter that is done with, where *entry* is its replay and one of its events had *outcome*."""
    return [entry.replay.letter_id] if isinstance(entry, ReplayedEntry) and entry.settles(outcome) else []


@contextmanager
def _transaction(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Cursor[Any]]:
    """One transaction, opened together with its settings in one round trip, so that none leaks through a pooler."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN)
        try:
            yield cursor
        except BaseException:
            if not connection.closed:
                cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")
