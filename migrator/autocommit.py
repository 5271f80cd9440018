"""
What protects an operation that runs outside any transaction, such as an index build that blocks nobody.

Its version row cannot stay locked, because the transaction that locked it is committed first. So its own session
holds a lock of its own as long as it works: if the migration lock's connection dies meanwhile, the next migrator
waits here instead of starting the same operation beside this one.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from migrator.errors import PermanentError, TemporaryError
from migrator.lock import lock_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

_POLL_SECONDS = 0.5


class AutocommitGuard:
    """
    Wraps the `autocommit_block` of a migration context.

    Args:
        version_table: Names the environment.
        direct_url_variable: What to tell people to set when a pooler is in the way.
        peer_seconds: How long to wait for another session that is still at work.
        entered: Called when a block begins, before anything is committed.
    """

    def __init__(
        self,
        version_table: str,
        direct_url_variable: str | None,
        peer_seconds: float,
        entered: Callable[[], None],
    ) -> None:
        self._key = lock_key(f"{version_table}\0autocommit")
        self._direct_url_variable = direct_url_variable
        self._peer_seconds = peer_seconds
        self._entered = entered
        self._holder: Connection | None = None

    def watch(self, ctx: MigrationContext, is_still_wanted: Callable[[Connection], None]) -> None:
        """
        Guard each block that a revision enters through *ctx*.

        *is_still_wanted* is asked after a wait whether the revision is still to be run; it raises if not.
        """
        enter_block = ctx.autocommit_block

        @contextmanager
        def guarded_block() -> Iterator[None]:
            self._entered()
            if ctx.connection is None or ctx.as_sql:
                with enter_block():
                    yield
                return
            self._refuse_pooler(ctx.connection)
            with enter_block():
                self._take(ctx.connection)
                is_still_wanted(ctx.connection)
                yield

        ctx.autocommit_block = guarded_block  # type: ignore[method-assign]  # of this one context, as said

    def release(self) -> None:
        """Give the session's lock back, if it is held: once the version row is locked again, or after a failure."""
        holder, self._holder = self._holder, None
        if holder is not None and not holder.closed:
            with suppress(DBAPIError):
                holder.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_unlock({self._key})")

    def _take(self, connection: Connection) -> None:
        deadline = time.monotonic() + self._peer_seconds
        # Without parameters, so that no snapshot stays open that an index build would wait for; see lock.py.
        while not connection.exec_driver_sql(f"SELECT pg_catalog.pg_try_advisory_lock({self._key})").scalar():
            if time.monotonic() >= deadline:
                raise TemporaryError(
                    "Another session is still at work on this revision, outside a transaction, and was not done "
                    f"within {self._peer_seconds:g} s. Nothing was changed here. Try again later."
                )
            time.sleep(_POLL_SECONDS)
        self._holder = connection

    def _refuse_pooler(self, connection: Connection) -> None:
        if not goes_through_pooler(connection):
            return
        cure = f"Set {self._direct_url_variable} to" if self._direct_url_variable else "Use"
        raise PermanentError(
            "This revision works outside a transaction and needs a server session of its own, but the URL goes "
            f"through a connection pooler. Nothing was changed. {cure} a URL that reaches PostgreSQL directly."
        )


def goes_through_pooler(connection: Connection) -> bool:
    """
    Whether something between us and the server shares its sessions out.

    A pooler shows its clients process numbers that it made up, so that it can route their cancel requests.
    """
    shown = getattr(getattr(connection.connection.driver_connection, "info", None), "backend_pid", None)
    real = connection.exec_driver_sql("SELECT pg_catalog.pg_backend_pid()").scalar()
    return shown is not None and shown != real
