"""
What this package remembers in each database, in its schema `migrator`.

`compatibility_floor` says which code may still run on the schema, `history` what was applied when. Both are written
in the transaction that moves the version row, so they cannot disagree with it.
"""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from sqlalchemy import text

from migrator.classifier import sentence
from migrator.errors import LockLostError, MigratorError, VersionMovedError
from migrator.lineage import floors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from alembic.script.revision import RevisionMap

    from migrator.environment import Environment
    from migrator.progress import Progress

logger = logging.getLogger(__name__)

SCHEMA = "migrator"
_ERROR_LENGTH = 2000

# Reading is open to every role: a process without rights on the schema has to know whether it may run.
_CREATE: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS migrator",
    """CREATE TABLE IF NOT EXISTS migrator.compatibility_floor (
    version_table text PRIMARY KEY,
    floor text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
)""",
    "COMMENT ON TABLE migrator.compatibility_floor IS 'Oldest revision whose code still works on this database'",
    """CREATE TABLE IF NOT EXISTS migrator.history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_table text NOT NULL,
    from_revision text,
    to_revision text,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT current_user,
    application_name text NOT NULL DEFAULT current_setting('application_name')
)""",
    # Separate, because databases that this package looked after before have the table without them.
    """ALTER TABLE migrator.history
    ADD COLUMN IF NOT EXISTS direction text,
    ADD COLUMN IF NOT EXISTS outcome text NOT NULL DEFAULT 'done',
    ADD COLUMN IF NOT EXISTS error text,
    ADD COLUMN IF NOT EXISTS duration_ms bigint,
    ADD COLUMN IF NOT EXISTS lock_wait_ms bigint,
    ADD COLUMN IF NOT EXISTS attempts integer,
    ADD COLUMN IF NOT EXISTS code_version text,
    ADD COLUMN IF NOT EXISTS host text""",
    "COMMENT ON TABLE migrator.history IS 'Each move of a version row, done or failed; null stands for no revision'",
    "COMMENT ON COLUMN migrator.history.applied_at IS 'When it ended, done or failed'",
    "COMMENT ON COLUMN migrator.history.outcome IS 'done, or failed: rolled back, the version row stayed'",
    "COMMENT ON COLUMN migrator.history.duration_ms IS 'Milliseconds of the last attempt, waits inside it included'",
    "COMMENT ON COLUMN migrator.history.lock_wait_ms IS 'Milliseconds waited for locks before the last attempt began'",
    "COMMENT ON COLUMN migrator.history.attempts IS 'How often it was begun; of a failure, how often it failed so'",
    "COMMENT ON COLUMN migrator.history.host IS 'The machine whose program did it'",
    "GRANT USAGE ON SCHEMA migrator TO PUBLIC",
    "GRANT SELECT ON migrator.compatibility_floor, migrator.history TO PUBLIC",
)
_IS_CURRENT: LiteralString = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = pg_catalog.to_regclass('migrator.history') AND attname = 'outcome')
"""
_SET_FLOOR = text("""
INSERT INTO migrator.compatibility_floor (version_table, floor) VALUES (:version_table, :floor)
ON CONFLICT (version_table) DO UPDATE SET floor = excluded.floor, recorded_at = now()
""")
_DROP_FLOOR = text("DELETE FROM migrator.compatibility_floor WHERE version_table = :version_table")
_ADD_HISTORY = text("""
INSERT INTO migrator.history (version_table, from_revision, to_revision, direction, duration_ms, lock_wait_ms,
                              attempts, code_version, host)
VALUES (:version_table, :from_revision, :to_revision, :direction, :duration_ms, :lock_wait_ms,
        :attempts, :code_version, :host)
""")
# A program that is started again and again fails again and again: one row tells how often.
_ADD_FAILURE: LiteralString = """
WITH last AS (
    SELECT id, outcome, from_revision, to_revision, error FROM migrator.history
    WHERE version_table = %(version_table)s ORDER BY id DESC LIMIT 1
), again AS (
    UPDATE migrator.history h
    SET attempts = h.attempts + %(attempts)s, applied_at = clock_timestamp(), applied_by = current_user,
        duration_ms = %(duration_ms)s, lock_wait_ms = %(lock_wait_ms)s, code_version = %(code_version)s,
        host = %(host)s, application_name = current_setting('application_name')
    FROM last
    WHERE h.id = last.id AND last.outcome = 'failed' AND last.error = %(error)s
      AND last.from_revision IS NOT DISTINCT FROM %(from_revision)s::text
      AND last.to_revision IS NOT DISTINCT FROM %(to_revision)s::text
    RETURNING h.id
)
INSERT INTO migrator.history (version_table, from_revision, to_revision, direction, outcome, error, duration_ms,
                              lock_wait_ms, attempts, code_version, host)
SELECT %(version_table)s, %(from_revision)s, %(to_revision)s, %(direction)s, 'failed', %(error)s, %(duration_ms)s,
       %(lock_wait_ms)s, %(attempts)s, %(code_version)s, %(host)s
WHERE NOT EXISTS (SELECT FROM again)
"""
_FAILURE_SETTINGS: LiteralString = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '2s'"


class Bookkeeper:
    """Writes floor and history beside the version row of one environment."""

    def __init__(self, environment: Environment, progress: Progress) -> None:
        self._environment = environment
        self._progress = progress
        self._created_offline = False

    def record(self, ctx: MigrationContext, step: MigrationInfo, heads: set[str]) -> None:
        """Record the step that *ctx* has just applied; *heads* is what the version table now holds."""
        self._ensure_tables(ctx, is_first=not step.source_revision_ids)
        floor = None
        for head in sorted(heads):
            floor = floor_of(step.revision_map, head)
        names = {"version_table": self._environment.version_table}
        if floor is None:
            ctx.execute(_DROP_FLOOR.bindparams(**names))
        else:
            ctx.execute(_SET_FLOOR.bindparams(**names, floor=floor))
        facts = _facts(self._environment, self._progress)
        if ctx.as_sql:
            # Whoever runs the text later, elsewhere, takes as long as it takes.
            facts |= dict.fromkeys(("duration_ms", "lock_wait_ms", "attempts", "host"))
        ctx.execute(_ADD_HISTORY.bindparams(**facts))

    def _ensure_tables(self, ctx: MigrationContext, *, is_first: bool) -> None:
        if ctx.as_sql:
            exists, self._created_offline = self._created_offline, True
        else:
            exists = ctx.connection is not None and bool(ctx.connection.scalar(text(_IS_CURRENT)))
        if not exists:
            for statement in _CREATE:
                ctx.execute(statement)
        # The version table is new then; ours are not, where a failure was recorded before.
        if is_first or not exists:
            table = ctx.dialect.identifier_preparer.quote(self._environment.version_table)
            ctx.execute(f"GRANT SELECT ON {table} TO PUBLIC")


def record_failure(
    open_connection: Callable[[], psycopg.Connection],
    environment: Environment,
    progress: Progress,
    error: BaseException,
) -> None:
    """
    Add to the history that what *progress* was running failed of *error*, on a connection of its own.

    Never raises: the failure itself is what has to be told, and where the server is away nothing can be written.
    """
    # One that found the version moved, or had lost the lock, did not run.
    if progress.attempts == 0 or isinstance(error, VersionMovedError | LockLostError):
        return
    try:
        with closing(open_connection()) as connection, connection.transaction():
            connection.execute(_FAILURE_SETTINGS)
            if connection.execute(_IS_CURRENT).fetchone() != (True,):
                for statement in _CREATE:
                    connection.execute(statement)
            # Every role may read it.
            told = sentence(error, without_rows=True)[:_ERROR_LENGTH]
            connection.execute(_ADD_FAILURE, _facts(environment, progress) | {"error": told})
    except (psycopg.Error, MigratorError) as unwritten:
        extra = {"event": "failure_unrecorded", "environment": environment.name, "reason": sentence(unwritten)}
        logger.info("the failure could not be added to the history of the database", extra=extra)


def _facts(environment: Environment, progress: Progress) -> dict[str, Any]:
    return {
        "version_table": environment.version_table,
        "from_revision": progress.from_revision,
        "to_revision": progress.to_revision,
        "direction": progress.direction,
        "duration_ms": progress.duration_ms,
        "lock_wait_ms": progress.lock_wait_ms,
        "attempts": progress.attempts,
        "code_version": environment.code_version,
        "host": socket.gethostname(),
    }


def floor_of(revisions: RevisionMap, head: str) -> str:
    """
    Return the oldest revision whose code works on a database at *head*.

    Raises:
        EnvironmentFilesError: A revision names one that is not among its ancestors.
    """
    chain = [revision.revision for revision in revisions.iterate_revisions(head, "base")][::-1]
    scripts: list[Any] = [revisions.get_revision(revision) for revision in chain]
    declared = [getattr(script.module, "compatible_with", None) for script in scripts]
    return floors_of(chain, dict(zip(chain, declared, strict=True)))[head]
