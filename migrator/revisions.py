"""What happens around each revision: its transaction opens with the version row locked and the lock proven."""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migrator.autocommit import AutocommitGuard
from migrator.bookkeeping import Bookkeeper
from migrator.errors import VersionMovedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from sqlalchemy import Connection

    from migrator.budgets import Budgets
    from migrator.environment import Environment
    from migrator.lock import LockProof
    from migrator.progress import Progress

logger = logging.getLogger(__name__)

_LOCAL_SETTINGS = text("""
SELECT pg_catalog.set_config('lock_timeout', :lock_timeout, true),
       pg_catalog.set_config('statement_timeout', '0', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),
       pg_catalog.set_config('TimeZone', 'UTC', true)
""")


class RevisionGuard:
    """
    Makes each revision that Alembic runs open its transaction safely.

    The version row stays locked until the revision commits, so that even a second migrator that took over a lost
    lock waits at that row, then sees that it moved.

    Args:
        environment: Whose version row is locked.
        budgets: How long a statement waits for a lock, and how long for another session.
        progress: Told what is being run.
    """

    def __init__(self, environment: Environment, budgets: Budgets, progress: Progress) -> None:
        self._environment = environment.name
        self._version_table = environment.version_table
        self._lock_timeout = f"{int(budgets.lock_timeout_seconds * 1000)}ms"
        self._heads: set[str] = set()
        self._proof: LockProof | None = None
        self._progress = progress
        self._bookkeeper = Bookkeeper(environment, progress)
        self._autocommit = AutocommitGuard(
            environment.version_table,
            environment.direct_url_variable,
            budgets.peer_seconds,
            progress.leave_transaction,
        )

    @contextmanager
    def watching(self, ctx: MigrationContext, proof: LockProof | None) -> Iterator[None]:
        """
        Guard the revisions that *ctx* runs meanwhile.

        Alembic has no hook at the beginning of a revision's transaction, so its function that yields them is wrapped.
        *proof* is checked before each; None: offline, or nothing will be changed.
        """
        self._proof = proof
        run: Callable[[Any, MigrationContext], Iterable[Any]] = ctx.opts["fn"]

        def guarded(heads: Any, context: MigrationContext) -> Iterator[Any]:
            self._heads = set(heads or ())
            for step in run(heads, context):
                step.migration_fn = self._opened(step, context)
                yield step

        ctx._migrations_fn = guarded  # noqa: SLF001 - as said, there is no hook
        self._autocommit.watch(ctx, self._refuse_moved_version)
        try:
            yield
        finally:
            self._autocommit.release()

    def applied(
        self, ctx: MigrationContext, step: MigrationInfo, heads: Collection[object], run_args: Mapping[str, object]
    ) -> None:
        """Record what the version table now holds; Alembic's `on_version_apply` callback."""
        del run_args
        self._heads = {str(head) for head in heads}
        self._bookkeeper.record(ctx, step, self._heads)
        self._autocommit.release()
        if not ctx.as_sql:
            logger.info(
                "the revision was noted without running it" if step.is_stamp else "a revision was applied",
                extra={
                    "event": "revision_stamped" if step.is_stamp else "revision_applied",
                    "environment": self._environment,
                    "from_revision": ",".join(step.source_revision_ids) or "base",
                    "to_revision": ",".join(step.destination_revision_ids) or "base",
                    "duration_ms": self._progress.duration_ms,
                },
            )
        self._progress.applied()

    def _opened(self, step: Any, ctx: MigrationContext) -> Callable[..., None]:
        migrate: Callable[..., None] = step.migration_fn

        @functools.wraps(migrate)
        def opened(**arguments: object) -> None:
            self._progress.begin(step)
            if ctx.as_sql:
                ctx.execute(f"SET LOCAL lock_timeout = '{self._lock_timeout}'")
                ctx.execute("SET LOCAL TimeZone = 'UTC'")
            elif ctx.connection is not None:
                self._open(ctx.connection)
            migrate(**arguments)

        return opened

    def _open(self, connection: Connection) -> None:
        connection.execute(_LOCAL_SETTINGS, {"lock_timeout": self._lock_timeout})
        if not self._heads:
            # There is no row to lock yet, so the table keeps a second first revision out.
            connection.execute(text(f"LOCK TABLE {self._quoted(connection)} IN SHARE ROW EXCLUSIVE MODE"))
        self._refuse_moved_version(connection)
        if self._proof is not None and not connection.exec_driver_sql(*self._proof.query).scalar():
            raise self._proof.lost

    def _refuse_moved_version(self, connection: Connection) -> None:
        """Lock the version row and raise if it is not what this run goes by."""
        statement = f"SELECT version_num FROM {self._quoted(connection)} FOR UPDATE"  # noqa: S608 - quoted
        found = set(connection.scalars(text(statement)))
        if found != self._heads:
            raise VersionMovedError(
                f"{self._version_table} holds {_names(found)}, but {_names(self._heads)} was read before: somebody "
                "else moved it. Nothing was changed here; read it again."
            )

    def _quoted(self, connection: Connection) -> str:
        return connection.dialect.identifier_preparer.quote(self._version_table)


def _names(heads: set[str]) -> str:
    return ", ".join(sorted(heads)) or "no revision"
