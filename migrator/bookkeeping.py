"""
What this package remembers in each database, in its schema `migrator`.

`compatibility_floor` says which code may still run on the schema, `history` what was applied when. Both are written
in the transaction that moves the version row, so they cannot disagree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migrator.errors import EnvironmentFilesError

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from alembic.script.revision import RevisionMap

SCHEMA = "migrator"

# Reading is open to every role: a process without rights on the schema has to know whether it may run.
_CREATE = (
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
    "COMMENT ON TABLE migrator.history IS 'Each move of a version row; null stands for no revision'",
    "GRANT USAGE ON SCHEMA migrator TO PUBLIC",
    "GRANT SELECT ON migrator.compatibility_floor, migrator.history TO PUBLIC",
)
_EXISTS = text("SELECT pg_catalog.to_regclass('migrator.history') IS NOT NULL")
_SET_FLOOR = text("""
INSERT INTO migrator.compatibility_floor (version_table, floor) VALUES (:version_table, :floor)
ON CONFLICT (version_table) DO UPDATE SET floor = excluded.floor, recorded_at = now()
""")
_DROP_FLOOR = text("DELETE FROM migrator.compatibility_floor WHERE version_table = :version_table")
_ADD_HISTORY = text("""
INSERT INTO migrator.history (version_table, from_revision, to_revision)
VALUES (:version_table, :from_revision, :to_revision)
""")


class Bookkeeper:
    """Writes floor and history beside the version row of one environment."""

    def __init__(self, version_table: str) -> None:
        self._version_table = version_table
        self._created_offline = False

    def record(self, ctx: MigrationContext, step: MigrationInfo, heads: set[str]) -> None:
        """Record the step that *ctx* has just applied; *heads* is what the version table now holds."""
        self._ensure_tables(ctx)
        floor = None
        for head in sorted(heads):
            floor = floor_of(step.revision_map, head)
        names = {"version_table": self._version_table}
        if floor is None:
            ctx.execute(_DROP_FLOOR.bindparams(**names))
        else:
            ctx.execute(_SET_FLOOR.bindparams(**names, floor=floor))
        moved = {
            "from_revision": ",".join(step.source_revision_ids) or None,
            "to_revision": ",".join(step.destination_revision_ids) or None,
        }
        ctx.execute(_ADD_HISTORY.bindparams(**names, **moved))

    def _ensure_tables(self, ctx: MigrationContext) -> None:
        if ctx.as_sql:
            exists, self._created_offline = self._created_offline, True
        else:
            exists = ctx.connection is not None and bool(ctx.connection.scalar(_EXISTS))
        if not exists:
            table = ctx.dialect.identifier_preparer.quote(self._version_table)
            for statement in (*_CREATE, f"GRANT SELECT ON {table} TO PUBLIC"):
                ctx.execute(statement)


def floor_of(revisions: RevisionMap, head: str) -> str:
    """
    Return the oldest revision whose code works on a database at *head*.

    That is the newest `compatible_with` of all revisions up to *head*: what one revision broke stays broken,
    whatever a later one says about itself.

    Raises:
        EnvironmentFilesError: A revision names one that is not among its ancestors.
    """
    chain = [revision.revision for revision in revisions.iterate_revisions(head, "base")][::-1]
    position = {revision: index for index, revision in enumerate(chain)}
    newest = 0
    for revision in chain:
        script: Any = revisions.get_revision(revision)
        declared = getattr(script.module, "compatible_with", None) or revision
        if position.get(declared, len(chain)) > position[revision]:
            raise EnvironmentFilesError(
                f"Revision {revision} says compatible_with = {declared!r}, which is not one of its ancestors."
            )
        newest = max(newest, position[declared])
    return chain[newest]
