"""The lock that one process at a time changes the log tables under, and short changes made while it is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeVar

import psycopg
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

BUSY_SECONDS: Final = 10.0
"""How long one change waits for the maintenance lock where it must not be left out, and for others' schema changes."""

_PASSING: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_TRY_LOCK: LiteralString = """
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('headhunter logs maintenance', 0)),
       pg_catalog.set_config('lock_timeout', '1s', true), pg_catalog.set_config('TimeZone', 'UTC', true)
"""


class MaintenanceBusyError(psycopg.errors.LockNotAvailable):
    """A peer holds the maintenance lock; it does the same work, so try again later or leave it to the peer."""


def locked_change(
    connection: psycopg.Connection[Any], change: Callable[[], Result], *, awaits_peer: bool = False
) -> Result:
    """
    Make one change in a transaction that holds the maintenance lock; again if others change the tables' schema.

    Args:
        connection: In autocommit.
        change: Short, for it stands alone: peers make no partition meanwhile.
        awaits_peer: Wait for a peer that holds the lock, `BUSY_SECONDS` at most.

    Raises:
        MaintenanceBusyError: A peer holds the lock, and nothing was changed.
        psycopg.Error: Nothing was changed.
    """
    if not connection.autocommit:
        raise ValueError("The connection must be in autocommit: each change is a transaction of its own.")

    def attempt() -> Result:
        with connection.transaction():
            row = connection.execute(_TRY_LOCK).fetchone()
            if row is None or not row[0]:
                raise MaintenanceBusyError(
                    "Another process maintains the log tables. Nothing was changed here. Try again in a moment."
                )
            return change()

    def is_worth_another_try(error: BaseException) -> bool:
        return isinstance(error, _PASSING) and (awaits_peer or not isinstance(error, MaintenanceBusyError))

    tries = Retrying(
        retry=retry_if_exception(is_worth_another_try),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        stop=stop_after_delay(BUSY_SECONDS),
        reraise=True,
    )
    return tries(attempt)
