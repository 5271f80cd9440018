"""What happens around each revision: its transaction opens with the version row locked and the lock proven."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migrator.bookkeeping import Bookkeeper
from migrator.errors import VersionMovedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from sqlalchemy import Connection

    from migrator.lock import LockProof

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
        version_table: Whose row is locked.
        lock_timeout_seconds: How long a statement of a revision may wait for a lock.
    """

    def __init__(self, version_table: str, lock_timeout_seconds: float) -> None:
        self._version_table = version_table
        self._lock_timeout = f"{int(lock_timeout_seconds * 1000)}ms"
        self._heads: set[str] = set()
        self._proof: LockProof | None = None
        self._bookkeeper = Bookkeeper(version_table)

    def watch(self, ctx: MigrationContext, proof: LockProof | None) -> None:
        """
        Wrap the revisions that *ctx* is going to run.

        Alembic has no hook at the beginning of a revision's transaction, so its function that yields them is wrapped.
        *proof* is checked before each; None: offline, or nothing will be changed.
        """
        self._proof = proof
        run: Callable[[Any, MigrationContext], Iterable[Any]] = ctx.opts["fn"]

        def guarded(heads: Any, context: MigrationContext) -> Iterator[Any]:  # noqa: ANN401 - Alembic's own type
            self._heads = set(heads or ())
            for step in run(heads, context):
                step.migration_fn = self._opened(step.migration_fn, context)
                yield step

        ctx._migrations_fn = guarded  # noqa: SLF001

    def applied(
        self, ctx: MigrationContext, step: MigrationInfo, heads: Collection[object], run_args: Mapping[str, object]
    ) -> None:
        """Record what the version table now holds; Alembic's `on_version_apply` callback."""
        del run_args
        self._heads = {str(head) for head in heads}
        self._bookkeeper.record(ctx, step, self._heads)

    def _opened(self, migrate: Callable[..., None], ctx: MigrationContext) -> Callable[..., None]:
        @functools.wraps(migrate)
        def opened(**arguments: object) -> None:
            if ctx.as_sql:
                ctx.execute(f"SET LOCAL lock_timeout = '{self._lock_timeout}'")
                ctx.execute("SET LOCAL TimeZone = 'UTC'")
            elif ctx.connection is not None:
                self._open(ctx.connection, ctx)
            migrate(**arguments)

        return opened

    def _open(self, connection: Connection, ctx: MigrationContext) -> None:
        connection.execute(_LOCAL_SETTINGS, {"lock_timeout": self._lock_timeout})
        table = ctx.dialect.identifier_preparer.quote(self._version_table)
        if not self._heads:
            # There is no row to lock yet, so the table keeps a second first revision out.
            connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
        found = set(connection.scalars(text(f"SELECT version_num FROM {table} FOR UPDATE")))  # noqa: S608 - quoted
        if found != self._heads:
            raise VersionMovedError(
                f"{self._version_table} holds {_names(found)}, but {_names(self._heads)} was read before: somebody "
                "else moved it. Nothing was changed here; read it again."
            )
        if self._proof is not None and not connection.exec_driver_sql(*self._proof.query).scalar():
            raise self._proof.lost


def _names(heads: set[str]) -> str:
    return ", ".join(sorted(heads)) or "no revision"
