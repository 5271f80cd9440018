"""A revision run on tables of production's size, with clients inserting meanwhile: how long did they have to wait?"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from migrator.authoring.round_trip import RoundTrip, run_traced
from migrator.authoring.seeding import Seeded, SeedTable, insertion, read_tables, seed
from migrator.authoring.sql_text import statements
from migrator.classifier import sentence

if TYPE_CHECKING:
    from collections.abc import Collection

    from migrator.authoring.chain import Chain, RevisionFile
    from migrator.authoring.scratch import Scratch

CLIENTS = 2
_FEW = 1000
_WARM_UP_SECONDS = 0.5
# Far from the numbers of the rows that are there, of each other's, and within an integer.
_FIRST, _EACH = 1_000_000_000, 100_000_000
_ERRORS_KEPT = 5


@dataclass
class Stall:
    """
    What the clients of one table saw.

    Args:
        table: Its name, qualified.
        rows: How many rows it held at the beginning.
        inserts: How many they inserted while the revision ran, and shortly before.
        longest_ms: The longest that one insert took.
        usual_ms: The longest that one took before the revision began: this machine's noise.
        errors: What the server said to those that failed, each once, five at most.
    """

    table: str
    rows: int
    inserts: int = 0
    longest_ms: float = 0.0
    usual_ms: float = 0.0
    errors: list[str] = field(default_factory=list)


@dataclass
class Rehearsal:
    """
    What was seen.

    Args:
        seeded: The rows it ran on, by table.
        stalls: What clients saw, by table.
        trip: What the revision ran, with its locks; only the way up is gone.
        seconds: How long the way up took.
    """

    seeded: list[Seeded]
    stalls: list[Stall]
    trip: RoundTrip
    seconds: float

    @property
    def longest_stall_ms(self) -> float:
        """The longest that any client waited."""
        return max((stall.longest_ms for stall in self.stalls), default=0.0)


def rehearse(scratch: Scratch, chain: Chain, file: RevisionFile, rows: int, text: str) -> Rehearsal:
    """
    Run `upgrade()` of *file* on *rows* rows in each table that its SQL, *text*, names, with clients inserting there.

    Raises:
        PermanentError: What the revision builds upon does not run.
    """
    with scratch.database(chain, file.down_revision) as url:
        left_out = [chain.environment.version_table, *chain.environment.foreign_version_tables]
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            tables = read_tables(connection, left_out)
            busy = _named_in(text, tables)
            seeded = seed(connection, tables, rows, only=[str(table) for table in busy], few=_FEW)
            connection.execute("ANALYZE")
        sizes = {one.table: one.rows for one in seeded}
        stalls = {str(table): Stall(str(table), sizes[str(table)]) for table in busy if sizes[str(table)]}
        by_oid = {table.oid: table for table in tables}
        trip = RoundTrip(seeded=seeded)
        over = threading.Event()
        ready = threading.Event()
        clients = [
            threading.Thread(target=_insert, args=(url, table, by_oid, number, stalls[str(table)], ready, over))
            for table in busy
            if str(table) in stalls
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        try:
            over.wait(_WARM_UP_SECONDS)
            ready.set()
            began = time.monotonic()
            _run(chain, url, file, trip)
            seconds = time.monotonic() - began
        finally:
            over.set()
            for client in clients:
                client.join()
    return Rehearsal(seeded, list(stalls.values()), trip, seconds)


def _run(chain: Chain, url: str, file: RevisionFile, trip: RoundTrip) -> None:
    try:
        run_traced(chain.environment, url, file.revision, trip)
    except Exception as error:  # noqa: BLE001 - a revision is code of others; what it raises is reported
        trip.problems.append(f"upgrade() of {file.revision} failed with clients at work: {sentence(error)}.")


def _named_in(text: str, tables: Collection[SeedTable]) -> list[SeedTable]:
    words = {word for statement in statements(text) for word in statement.words}
    # Within a DO block and the like, names are part of one text.
    return [table for table in tables if table.name in words or f'"{table.name}"' in text or f".{table.name}" in text]


def _insert(
    url: str,
    table: SeedTable,
    by_oid: dict[int, SeedTable],
    number: int,
    stall: Stall,
    ready: threading.Event,
    over: threading.Event,
) -> None:
    """Insert row by row, as code that knows nothing of the revision does, until it is over."""
    connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
    statement = insertion(table, by_oid, few=_FEW)
    row = _FIRST + number * _EACH
    with closing(connection):
        while not over.is_set():
            row += 1
            began = time.monotonic()
            try:
                connection.execute(statement, (row, row))
                stall.inserts += 1
            except psycopg.Error as error:
                if sentence(error) not in stall.errors and len(stall.errors) < _ERRORS_KEPT:
                    stall.errors.append(sentence(error))
                # A client that fails tries again a little later, as clients do.
                over.wait(0.01)
            took_ms = (time.monotonic() - began) * 1000
            if ready.is_set():
                stall.longest_ms = max(stall.longest_ms, took_ms)
            else:
                stall.usual_ms = max(stall.usual_ms, took_ms)
