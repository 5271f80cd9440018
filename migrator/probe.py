"""
Which revision a database is at and whether this code may run on it: one round trip of plain SQL.

This is all that a start at head costs, so nothing here imports Alembic or SQLAlchemy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from migrator.errors import PermanentError

if TYPE_CHECKING:
    import psycopg

    from migrator.environment import Environment


class Verdict(StrEnum):
    """How a database stands to this code."""

    AT_HEAD = "at head"
    BEHIND = "behind"
    EMPTY = "empty"
    UNVERSIONED = "tables without a revision"
    AHEAD_COMPATIBLE = "ahead, compatible"
    AHEAD_INCOMPATIBLE = "ahead, incompatible"
    DIVERGED = "diverged"
    FOREIGN = "another environment's database"

    @property
    def is_usable(self) -> bool:
        """Whether this code may run on the database as it is."""
        return self in {Verdict.AT_HEAD, Verdict.AHEAD_COMPATIBLE}


@dataclass(frozen=True)
class Probe:
    """
    What a database says about itself.

    Args:
        revision: In its version table; None: no revision.
        floor: Oldest revision whose code still works on it; None: not recorded.
        verdict: What that means for the code that asked.
    """

    revision: str | None
    floor: str | None
    verdict: Verdict


# A table that may not be there cannot be named in plain SQL. ts_stat runs a text, so it is asked only once the table is
# known to be, and gives back the words of the vector that the text makes of the column. It needs no function of ours
# and no second round trip, no ERROR appears in the server's log, and a server built without libxml has it too.
_PROBE = """
WITH version AS (
    SELECT c.oid::pg_catalog.regclass AS relation FROM pg_catalog.pg_class c
    WHERE c.relname = %(version_table)s AND c.relkind = 'r' AND pg_catalog.pg_table_is_visible(c.oid)
), floor AS (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'migrator' AND c.relname = 'compatibility_floor'
)
SELECT
    ARRAY(SELECT word FROM version, pg_catalog.ts_stat(pg_catalog.format(
        'SELECT pg_catalog.array_to_tsvector(ARRAY[version_num::text]) FROM %%s', relation)) ORDER BY word),
    (SELECT word FROM floor, pg_catalog.ts_stat(pg_catalog.format(
        'SELECT pg_catalog.array_to_tsvector(ARRAY[floor]) FROM migrator.compatibility_floor WHERE version_table = %%L',
        %(version_table)s::text))),
    (SELECT pg_catalog.min(c.relname::text) FROM pg_catalog.pg_class c
     WHERE c.relname = ANY(%(foreign)s::text[]) AND c.relkind = 'r' AND pg_catalog.pg_table_is_visible(c.oid))
"""
# Asked only where there is no revision, so that a start at head does not pay for it.
_HAS_TABLES = r"""
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'migrator'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%%' AND c.relname <> %(version_table)s
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        AND d.objid = c.oid AND d.deptype = 'e'))
"""
# Asked only where the revision is not known. The column `outcome` is missing where an older version kept the history.
_MOVES = """
SELECT h.from_revision, h.to_revision FROM migrator.history h
WHERE h.version_table = %s AND h.to_revision IS NOT NULL
  AND coalesce(pg_catalog.to_jsonb(h) ->> 'outcome', 'done') = 'done'
ORDER BY h.id
"""
_HAS_HISTORY = "SELECT pg_catalog.to_regclass('migrator.history') IS NOT NULL"


def probe(connection: psycopg.Connection, environment: Environment) -> Probe:
    """
    Return the revision and floor of the database behind *connection* and what they mean for this code.

    One round trip, some milliseconds, and one or two more where there is no revision or an unknown one. It waits for
    nobody but a session that is changing the version table itself.

    Raises:
        PermanentError: The version table holds more than one revision.
        psycopg.Error: The connection failed, or this role may not read the version table.
    """
    parameters = {
        "version_table": environment.version_table,
        "foreign": list(environment.foreign_version_tables),
    }
    row = connection.execute(_PROBE, parameters).fetchone()
    revisions, floor, foreign = row or ([], None, None)
    if len(revisions) > 1:
        raise PermanentError(
            f"{environment.version_table} holds {len(revisions)} revisions ({', '.join(revisions)}), but a chain has "
            "one. Nothing was changed. Find out who put them there and leave the right one."
        )
    revision = next(iter(revisions), None)
    if foreign is not None:
        return Probe(revision, floor, Verdict.FOREIGN)
    if revision is None:
        has_tables = connection.execute(_HAS_TABLES, parameters).fetchone() == (True,)
        return Probe(None, floor, Verdict.UNVERSIONED if has_tables else Verdict.EMPTY)
    return Probe(revision, floor, _verdict(connection, environment, revision, floor))


def left_at(connection: psycopg.Connection, environment: Environment, revision: str) -> str | None:
    """
    Return the last revision known to this code on the database's way to *revision*, which is not known.

    None: its history does not tell, because it was stamped or restored.
    """
    if not has_history(connection):
        return None
    came_from: dict[str, str | None] = {}
    for source, target in connection.execute(_MOVES, (environment.version_table,)).fetchall():
        # The first move to a revision comes from below, later ones may be the way back.
        came_from.setdefault(target, source)
    known = environment.known_revisions
    at: str | None = revision
    while at is not None and at not in known:
        at = came_from.pop(at, None)
    return at


def has_history(connection: psycopg.Connection) -> bool:
    """Tell whether the database behind *connection* remembers what was done to it."""
    return connection.execute(_HAS_HISTORY).fetchone() == (True,)


def _verdict(connection: psycopg.Connection, environment: Environment, revision: str, floor: str | None) -> Verdict:
    head = environment.head
    if revision == head:
        return Verdict.AT_HEAD
    known = environment.known_revisions
    if revision in known:
        return Verdict.BEHIND
    if left_at(connection, environment, revision) not in {head, None}:
        return Verdict.DIVERGED
    return Verdict.AHEAD_COMPATIBLE if floor in known else Verdict.AHEAD_INCOMPATIBLE


def refuse_unusable(environment: Environment, found: Probe) -> None:
    """
    Return if the database may be used or brought to head.

    Raises:
        PermanentError: It is ahead of this code, or it is another environment's.
    """
    if found.verdict is Verdict.FOREIGN:
        raise PermanentError(
            f"This is not the {environment.name} database: it carries the version table of another environment "
            f"({', '.join(environment.foreign_version_tables)}). Nothing was changed. "
            f"Check {' and '.join(environment.url_variables)}."
        )
    if found.verdict is Verdict.DIVERGED:
        raise PermanentError(
            f"The {environment.name} database is at revision {found.revision}, which this code does not know and which "
            f"does not build upon this code's head {environment.head}: it was moved by code of another branch. Nothing "
            "was changed. Deploy code that has both, or downgrade with the code that has that revision."
        )
    if found.verdict is Verdict.AHEAD_INCOMPATIBLE:
        floor = f"needs code of revision {found.floor} or later" if found.floor else "records no compatibility floor"
        raise PermanentError(
            f"The {environment.name} database is at revision {found.revision}, which this code does not know, and "
            f"{floor}; this code's head is {environment.head}. Nothing was changed. Deploy newer code."
        )
