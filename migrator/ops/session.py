"""
The session that an online operation works in, and how it takes a lock that stops everybody.

An online operation runs outside Alembic's transaction, on psycopg's own connection, so that it can commit each of its
steps and build indexes concurrently.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg import sql
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from migrator.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alembic.operations import Operations

    from migrator.partitioning import Relation


logger = logging.getLogger(__name__)

# While an exclusive lock is waited for, every new statement on the table waits behind it: so never for long.
EXCLUSIVE_WAIT_MS = 40
EXCLUSIVE_BUDGET_SECONDS = 600.0
EXCLUSIVE_PAUSE_SECONDS = 5.0
OTHERS_BUDGET_SECONDS = 600.0

_SETTINGS: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    # What is looked at once a lock is held must be what is there then, not what was there when it was asked for.
    "default_transaction_isolation": "read committed",
    # An index build and its kin stop nobody while they wait, and may have to outwait a long report.
    "lock_timeout": "600s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# A statement whose client was killed ends within a second instead of going on without anybody to see its result.
_CLIENT_CHECK: Final = {"client_connection_check_interval": "1s"}

_HOLDERS: LiteralString = """
SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%%s (%%s)', l.pid, coalesce(nullif(a.application_name, ''),
                                                        'unnamed')), ', ')
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND (l.relation = pg_catalog.to_regclass(%(table)s)
       OR l.relation IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%(table)s))))
"""


def raw_connection(operations: Operations) -> psycopg.Connection[Any]:
    """
    Return psycopg's connection under the one that Alembic works with.

    Raises:
        PermanentError: Alembic was given another driver.
    """
    connection = operations.get_bind().connection.dbapi_connection
    if not isinstance(connection, psycopg.Connection):
        raise PermanentError(f"This operation needs psycopg 3, but the connection is {type(connection).__module__}'s.")
    return connection


@contextmanager
def online_session(operations: Operations) -> Iterator[psycopg.Connection[Any]]:
    """
    Give a connection outside any transaction, in UTC, patient with locks that stop nobody.

    What the revision did before is committed; the session's settings are put back at the end.
    """
    with operations.get_context().autocommit_block():
        connection = raw_connection(operations)
        with _session_settings(connection):
            yield connection


@contextmanager
def exclusively(
    connection: psycopg.Connection[Any], table: Relation, *, prepare: Callable[[], None] | None = None
) -> Iterator[None]:
    """
    Hold AccessExclusive on *table* in a transaction of its own; otherwise as `locked`.

    Raises:
        TemporaryError: The lock was not to be had; nothing was kept.
    """
    lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table.identifier)
    with locked(connection, table, lock, prepare=prepare):
        yield


@contextmanager
def locked(
    connection: psycopg.Connection[Any],
    table: Relation,
    *locks: sql.Composed,
    prepare: Callable[[], None] | None = None,
) -> Iterator[None]:
    """
    Hold what the statements *locks* take in one transaction, and log for how long at most others were locked out.

    What *prepare* does belongs to the transaction but comes before the locks.  `psycopg.Rollback` raised inside undoes
    everything and goes no further.

    Raises:
        TemporaryError: The locks were not to be had; nothing was kept.
    """
    with connection.transaction():
        if prepare is not None:
            prepare()
        execute_briefly(connection, table, *locks)
        begun = time.monotonic()
        yield
    logger.info(
        "a table was locked",
        extra={
            "event": "table_locked",
            "table": str(table),
            # Until COMMIT was answered; the lock itself is gone a little earlier.
            "locked_ms": round((time.monotonic() - begun) * 1000, 1),
        },
    )


def execute_briefly(connection: psycopg.Connection[Any], table: Relation, *statements: sql.Composed) -> None:
    """
    Run *statements*, which lock *table* or a part of it, as one, without ever making others wait for long.

    Each try waits `EXCLUSIVE_WAIT_MS` at most for a lock and keeps none if it does not get all; between two tries the
    others catch up, and the pause grows to `EXCLUSIVE_PAUSE_SECONDS`.

    Raises:
        TemporaryError: No try within `EXCLUSIVE_BUDGET_SECONDS` got all; the message names who holds the table.
    """
    tries = Retrying(
        retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
        wait=wait_random_exponential(multiplier=0.1, max=EXCLUSIVE_PAUSE_SECONDS),
        stop=stop_after_delay(EXCLUSIVE_BUDGET_SECONDS),
        reraise=True,
    )
    try:
        for attempt in tries:
            with attempt, connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(EXCLUSIVE_WAIT_MS)))
                for statement in statements:
                    connection.execute(statement)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise TemporaryError(
            f"{table} could not be locked within {EXCLUSIVE_BUDGET_SECONDS:g} s; server processes that hold it: "
            f"{_holders(connection, table)}. What was done so far is kept. End them or wait, then start again."
        ) from error


def await_others(connection: psycopg.Connection[Any], table: Relation, *, partitions_too: bool = True) -> None:
    """
    Return once no other session builds an index on *table*, or its partitions, or alters them.

    A process that was killed in the middle of an index build may have left the server building; what that ends in
    is not to be judged before it has ended.  Readers and writers are not held up.  The lock is polled: a session
    that waits for it holds a snapshot of the catalog, which an index build waits for in turn.

    Raises:
        TemporaryError: It took longer than `OTHERS_BUDGET_SECONDS`; the message names who holds the table.
    """

    def say_once(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            extra = {"event": "table_awaited", "table": str(table), "holders": _holders(connection, table)}
            logger.info("another session alters, analyses or indexes a table; waiting for it", extra=extra)

    tries = Retrying(
        retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
        wait=wait_random_exponential(multiplier=0.1, max=1.0),
        stop=stop_after_delay(OTHERS_BUDGET_SECONDS),
        before_sleep=say_once,
        reraise=True,
    )
    target = table.identifier if partitions_too else sql.SQL("ONLY {}").format(table.identifier)
    statement = sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT").format(target)
    try:
        for attempt in tries:
            with attempt, connection.transaction():
                connection.execute(statement)
    except psycopg.errors.LockNotAvailable as error:
        raise TemporaryError(
            f"{table} is being altered, analysed or indexed by another session; server processes that hold it: "
            f"{_holders(connection, table)}. What was done so far is kept. Start again when they are done."
        ) from error


def _holders(connection: psycopg.Connection[Any], table: Relation) -> str:
    row = connection.execute(_HOLDERS, {"table": table.quoted}).fetchone()
    return (row and row[0]) or "none any more"


@contextmanager
def _session_settings(connection: psycopg.Connection[Any]) -> Iterator[None]:
    wanted = {**_SETTINGS, **_CLIENT_CHECK}
    before = connection.execute(
        "SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings WHERE name = ANY(%s)",
        (list(wanted),),
    ).fetchall()
    for name, value in _SETTINGS.items():
        _set(connection, name, value)
    for name, value in _CLIENT_CHECK.items():
        # Not every platform can look at a socket without reading from it.
        with suppress(psycopg.errors.InvalidParameterValue):
            _set(connection, name, value)
    try:
        yield
    finally:
        if not connection.closed:
            for name, value in before:
                _set(connection, name, value)


def _set(connection: psycopg.Connection[Any], name: str, value: str) -> None:
    connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
