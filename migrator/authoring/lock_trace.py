"""
Which locks a revision takes, on what, for how long, and what it rewrites: measured while it really runs.

Inside a transaction the locks are read, exactly, after each statement, because they are all still held then. Outside
one a second connection looks every millisecond.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Collection

_SAMPLE_SECONDS = 0.001
# Weakest first.
STRENGTH = (
    "AccessShare",
    "RowShare",
    "RowExclusive",
    "ShareUpdateExclusive",
    "Share",
    "ShareRowExclusive",
    "Exclusive",
    "AccessExclusive",
)
#: What stops writers.
BLOCKS_WRITES = STRENGTH[STRENGTH.index("Share") :]
_NOT_OURS = """
n.nspname <> 'migrator' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
AND NOT c.relname = ANY(%(left_out)s)
"""
# Without pg_class: what was dropped or renamed meanwhile is still locked.
_LOCKS = """
SELECT relation::bigint, pg_catalog.replace(mode, 'Lock', '') FROM pg_catalog.pg_locks
WHERE pid = %s AND locktype = 'relation' AND granted
"""
_RELATIONS = f"""
SELECT c.oid::bigint, pg_catalog.format('%%s.%%s', n.nspname, c.relname), c.relkind IN ('i', 'I'),
       (SELECT pg_catalog.format('%%s.%%s', s.nspname, r.relname)
        FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
        WHERE c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid)),
       pg_catalog.pg_relation_filenode(c.oid)::bigint
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p', 'i', 'I') AND {_NOT_OURS}
"""  # noqa: S608 - constants
_FILES = """
SELECT oid::bigint, pg_catalog.pg_relation_filenode(oid)::bigint FROM pg_catalog.pg_class
WHERE relkind IN ('r', 'm') AND oid >= 16384
"""


@dataclass(frozen=True)
class _Relation:
    """What was there before the revision: its name then, whether it is an index, whose partition it was."""

    name: str
    is_index: bool
    partition_of: str | None
    file: int | None


@dataclass
class HeldLock:
    """
    One lock.

    Args:
        relation: What it was on, qualified.
        mode: Its mode as PostgreSQL calls it, without `Lock`.
        is_index: It was on an index.
        partition_of: The partitioned table that it is a partition of.
        held_ms: From the beginning of the statement that took it to the end of its transaction; None: not seen to end.
    """

    relation: str
    mode: str
    is_index: bool
    partition_of: str | None = None
    held_ms: float | None = None
    began: float = field(default=0.0, repr=False)


@dataclass
class TracedStatement:
    """
    One statement of the revision.

    Args:
        text: As it was sent.
        duration_ms: How long it ran.
        locks: Those that it took and that were not held before, on what was there before the revision.
        rewrites: Tables whose files it wrote anew.
        error: What the server said where it failed.
    """

    text: str
    duration_ms: float = 0.0
    locks: list[HeldLock] = field(default_factory=list)
    rewrites: list[str] = field(default_factory=list)
    error: str | None = None


class LockTrace:
    """
    Observes one connection; `statements` is what was seen.

    Args:
        monitor_url: For a second connection, which looks on from outside.
        left_out: Relations that are not the revision's business, as version tables.
    """

    def __init__(self, monitor_url: str, left_out: Collection[str]) -> None:
        self.statements: list[TracedStatement] = []
        self._monitor = psycopg.connect(monitor_url, autocommit=True)
        rows = self._monitor.execute(_RELATIONS, {"left_out": list(left_out)}).fetchall()
        # What the revision makes itself is nobody else's: its locks and files do not matter.
        self._before = {oid: _Relation(*properties) for oid, *properties in rows}
        self._files = {oid: relation.file for oid, relation in self._before.items()}
        self._held: dict[tuple[int, str], HeldLock] = {}
        self._began = 0.0
        self._sampler: threading.Thread | None = None
        self._done = threading.Event()
        self._sampled: dict[tuple[int, str], tuple[float, float]] = {}

    def close(self) -> None:
        """End the second connection."""
        self._monitor.close()

    def before(self, connection: psycopg.Connection[Any], statement: str) -> None:
        """Note a statement that is about to run."""
        self.statements.append(TracedStatement(" ".join(statement.split())))
        self._began = time.monotonic()
        if connection.info.transaction_status == TransactionStatus.IDLE and connection.autocommit:
            self._done.clear()
            self._sampled.clear()
            self._sampler = threading.Thread(target=self._sample, args=(connection.info.backend_pid,), daemon=True)
            self._sampler.start()

    def after(self, connection: psycopg.Connection[Any], error: BaseException | None) -> None:
        """Note how it ended and what it holds."""
        now = time.monotonic()
        current = self.statements[-1]
        current.duration_ms = (now - self._began) * 1000
        if self._sampler is not None:
            self._done.set()
            self._sampler.join()
            self._sampler = None
            self._add_sampled(current)
        if error is not None:
            current.error = " ".join(str(error).split())
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            self._read_locks(connection, current)
        if connection.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.IDLE}:
            self._compare_files(connection, current)

    def ended(self, connection: psycopg.Connection[Any]) -> None:
        """Note that what was held is free."""
        del connection
        now = time.monotonic()
        for lock in self._held.values():
            lock.held_ms = (now - lock.began) * 1000
        self._held.clear()

    def _read_locks(self, connection: psycopg.Connection[Any], current: TracedStatement) -> None:
        for oid, mode in psycopg.Cursor(connection).execute(_LOCKS, (connection.info.backend_pid,)).fetchall():
            if (oid, mode) not in self._held and oid in self._before:
                self._held[oid, mode] = self._lock(oid, mode, None)
                current.locks.append(self._held[oid, mode])

    def _sample(self, pid: int) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            with suppress(psycopg.OperationalError):
                rows = self._monitor.execute(_LOCKS, (pid,)).fetchall()
                now = time.monotonic()
                for oid, mode in rows:
                    self._sampled[oid, mode] = (self._sampled.get((oid, mode), (now, now))[0], now)

    def _add_sampled(self, current: TracedStatement) -> None:
        for (oid, mode), (first, last) in self._sampled.items():
            if oid in self._before:
                current.locks.append(self._lock(oid, mode, (last - first) * 1000))

    def _lock(self, oid: int, mode: str, held_ms: float | None) -> HeldLock:
        relation = self._before[oid]
        return HeldLock(relation.name, mode, relation.is_index, relation.partition_of, held_ms, self._began)

    def _compare_files(self, connection: psycopg.Connection[Any], current: TracedStatement) -> None:
        for oid, file in psycopg.Cursor(connection).execute(_FILES).fetchall():
            if self._files.get(oid) not in {file, None}:
                current.rewrites.append(self._before[oid].name)
                self._files[oid] = file


@dataclass(frozen=True)
class LockSummary:
    """
    What the whole revision holds on one relation.

    Args:
        relation: Its name, qualified; of a partition, the partitioned table's.
        mode: The strongest mode.
        held_ms: The longest time.
        partitions: How many of its partitions are locked in that mode.
        itself: Whether it is locked in that mode itself, and not its partitions only.
    """

    relation: str
    mode: str
    held_ms: float
    partitions: int = 0
    itself: bool = True

    def __str__(self) -> str:
        """Say it in a sentence's part."""
        noun = "partition" if self.partitions == 1 else "partitions"
        of_partitions = f"{self.partitions} {noun}" if self.partitions else ""
        on = " and ".join(filter(None, [self.relation if self.itself else "", of_partitions]))
        of = "" if self.itself else f" of {self.relation}"
        return f"{self.mode} on {on}{of} for {self.held_ms:.0f} ms"


def strongest_locks(statements: Collection[TracedStatement]) -> list[LockSummary]:
    """Return the strongest lock on each table that was there before, strongest first; reading ones left out."""
    strongest: dict[str, HeldLock] = {}
    for lock in (lock for statement in statements for lock in statement.locks if not lock.is_index):
        known = strongest.get(lock.relation)
        if known is None or _weight(lock) > _weight(known):
            strongest[lock.relation] = lock
    alike: dict[tuple[str, str], list[HeldLock]] = {}
    for lock in strongest.values():
        if STRENGTH.index(lock.mode) > STRENGTH.index("RowExclusive"):
            alike.setdefault((lock.partition_of or lock.relation, lock.mode), []).append(lock)
    summaries = [
        LockSummary(
            relation,
            mode,
            max(lock.held_ms or 0.0 for lock in locks),
            sum(lock.partition_of is not None for lock in locks),
            any(lock.partition_of is None for lock in locks),
        )
        for (relation, mode), locks in alike.items()
    ]
    return sorted(summaries, key=lambda one: (-STRENGTH.index(one.mode), -one.held_ms, one.relation))


def _weight(lock: HeldLock) -> tuple[int, float]:
    return STRENGTH.index(lock.mode), lock.held_ms or 0.0
