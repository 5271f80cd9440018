"""
One migrator at a time for each environment: an advisory lock on a connection of its own.

The lock lives in an open transaction, because a transaction-mode pooler keeps that on one server connection, and it
is polled, because a process that waits inside a blocking lock function holds a snapshot that an index build waits
for. It is free the moment its holder's connection ends.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql

from migrator.errors import LockLostError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from migrator.environment import Environment

logger = logging.getLogger(__name__)

_POLL_SECONDS = (0.2, 2.0)
_REPORT_SECONDS = 10.0
_TRANSACTION_TIMEOUT_SINCE = 170000

_STILL_HELD = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = %(pid)s
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND classid = %(high)s::oid AND objid = %(low)s::oid AND objsubid = 1
)
"""
_HOLDER = """
SELECT l.pid, a.application_name, pg_catalog.host(a.client_addr), a.xact_start
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.classid = %(high)s AND l.objid = %(low)s::oid AND l.objsubid = 1
"""


@dataclass(frozen=True)
class LockProof:
    """Says which server process holds which advisory lock; anybody connected to the database can check it."""

    key: int
    backend_pid: int

    @property
    def query(self) -> tuple[str, dict[str, int]]:
        """The statement that tells whether the lock is still held, and its parameters."""
        return _STILL_HELD, {"pid": self.backend_pid, **halves(self.key)}

    def holds(self, connection: psycopg.Connection) -> bool:
        """Ask the server behind *connection* whether the lock is still held."""
        row = connection.execute(_STILL_HELD, self.query[1]).fetchone()
        return row is not None and bool(row[0])

    @property
    def lost(self) -> LockLostError:
        """The error to raise when the statement says no."""
        return LockLostError(
            f"The migration lock is no longer held by server process {self.backend_pid}: its connection was ended. "
            "What was committed is kept, nothing further was begun. Start again."
        )


@dataclass(frozen=True)
class LockHolder:
    """Who holds the lock, as far as the server tells us: other roles' sessions show little."""

    pid: int
    application_name: str | None
    host: str | None
    since: datetime | None

    def __str__(self) -> str:
        """Say it in a sentence's part."""
        since = f"{self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if self.since else "unknown time"
        name = self.application_name or "unnamed"
        return f"server process {self.pid} ({name}, {self.host or 'local socket'}, since {since})"


class MigrationLock:
    """
    The lock of one environment, taken on *connection*, which belongs to it until `release`.

    Usable as a context manager; leaving it releases the lock but does not close the connection.
    """

    def __init__(self, connection: psycopg.Connection, environment: Environment) -> None:
        self._connection = connection
        self._environment = environment
        self._proof: LockProof | None = None
        self.key = lock_key(environment.version_table)

    @property
    def proof(self) -> LockProof:
        """
        What shows others that the lock is held.

        Raises:
            LockLostError: It was not taken, or was given back.
        """
        if self._proof is None:
            raise LockLostError("The migration lock is not held. Take it first.")
        return self._proof

    def try_take(self) -> bool:
        """Take the lock if it is free. Nothing stays open if it is not."""
        self._connection.rollback()
        self._connection.autocommit = False
        self._connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        # Idle in this transaction is what the holder is for minutes: no time-out may end it.
        self._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        if self._connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE:
            self._connection.execute("SET LOCAL transaction_timeout = 0")
        # The key stands in the text: a statement with parameters goes by the extended protocol, whose portal stays
        # open with its snapshot until the next statement, and an index build would wait for that snapshot for ever.
        statement = sql.SQL("SELECT pg_catalog.pg_try_advisory_xact_lock({}), pg_catalog.pg_backend_pid()")
        row = self._connection.execute(statement.format(sql.Literal(self.key))).fetchone()
        if row is not None and row[0]:
            self._proof = LockProof(self.key, row[1])
            return True
        self._connection.rollback()
        return False

    def take(
        self,
        peer_seconds: float,
        *,
        deadline: float | None = None,
        gone_on: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] | None = None,
    ) -> bool:
        """
        Wait for the lock at most *peer_seconds*; true when it is ours.

        Args:
            peer_seconds: The budget for another process that is migrating.
            deadline: When it ends by `time.monotonic`, if it began earlier than now.
            gone_on: Asked between tries; once it says true there is nothing left to do and this returns false.
            report: Told now and then who holds the lock; None: the log is.

        Raises:
            TemporaryError: The budget is spent; the message names the holder.
        """
        report_at = time.monotonic()
        deadline = report_at + peer_seconds if deadline is None else deadline
        pause_seconds = _POLL_SECONDS[0]
        while not self.try_take():
            now = time.monotonic()
            if gone_on():
                return False
            if now >= deadline:
                raise TemporaryError(
                    f"Another process is migrating the {self._environment.name} database and was not done within "
                    f"{peer_seconds:g} s: {self._holder_text()}. Nothing was changed here. Try again later."
                )
            if now >= report_at:
                (report or self._log)(self._holder_text())
                report_at = now + _REPORT_SECONDS
            time.sleep(min(pause_seconds * random.uniform(0.5, 1.0), max(deadline - now, 0.0)))  # noqa: S311 - jitter
            pause_seconds = min(pause_seconds * 1.5, _POLL_SECONDS[1])
        return True

    def release(self) -> None:
        """Give the lock back; harmless when it is not held or the connection is gone."""
        self._proof = None
        with suppress(psycopg.OperationalError):
            self._connection.rollback()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _log(self, holder: str) -> None:
        logger.info(
            "another process is migrating this database; waiting for it",
            extra={"event": "peer_awaited", "environment": self._environment.name, "holder": holder},
        )

    def _holder_text(self) -> str:
        holder = find_holder(self._connection, self._environment)
        self._connection.rollback()
        return "nobody any more" if holder is None else str(holder)


def find_holder(connection: psycopg.Connection, environment: Environment) -> LockHolder | None:
    """Return who holds the environment's lock in the database behind *connection*, or None if it is free."""
    row = connection.execute(_HOLDER, halves(lock_key(environment.version_table))).fetchone()
    return None if row is None else LockHolder(*row)


def lock_key(version_table: str) -> int:
    """Return the advisory lock's 64-bit key for the environment with that version table."""
    digest = hashlib.sha256(f"migrator\0{version_table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def halves(key: int) -> dict[str, int]:
    """Return the two halves of an advisory lock's key as pg_locks shows them."""
    return {"high": key >> 32 & 0xFFFFFFFF, "low": key & 0xFFFFFFFF}
