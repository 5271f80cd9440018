"""What there is to tell about one database: where it stands, what is pending, what was done when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory

from migrator.configuration import alembic_config
from migrator.invalid_indexes import invalid_indexes
from migrator.lock import find_holder
from migrator.probe import Verdict, probe

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg
    from alembic.script import Script

    from migrator.environment import Environment

_APPLIED = """
SELECT DISTINCT ON (to_revision) to_revision, applied_at, applied_by FROM migrator.history
WHERE version_table = %s AND to_revision IS NOT NULL ORDER BY to_revision, id DESC
"""
_HAS_HISTORY = "SELECT pg_catalog.to_regclass('migrator.history') IS NOT NULL"


@dataclass(frozen=True)
class Status:
    """
    Where a database stands.

    Args:
        environment: The environment's name.
        verdict: What it means for this code.
        revision: Its revision; None: none.
        head: What this code needs.
        floor: Oldest revision whose code still works on it; None: not recorded.
        pending: Revisions still to run, oldest first.
        invalid_indexes: INVALID indexes by name, with what repairs each.
        migrating: Who holds the migration lock now; None: nobody.
    """

    environment: str
    verdict: Verdict
    revision: str | None
    head: str
    floor: str | None
    pending: tuple[str, ...]
    invalid_indexes: dict[str, str]
    migrating: str | None


@dataclass(frozen=True)
class Applied:
    """
    One revision of the chain and what this database knows of it.

    Args:
        revision: Its id.
        title: First line of its docstring.
        compatible_with: Oldest head whose code still works on it, as it says itself.
        is_applied: The database is at this revision or past it.
        applied_at: When it was last moved to; None: never, or before there was a history.
        applied_by: By which role.
    """

    revision: str
    title: str
    compatible_with: str | None
    is_applied: bool
    applied_at: datetime | None
    applied_by: str | None


def read_status(connection: psycopg.Connection, environment: Environment) -> Status:
    """Return where the database behind *connection* stands."""
    found = probe(connection, environment)
    chain = _chain(environment)
    pending: tuple[str, ...] = ()
    if found.verdict in {Verdict.BEHIND, Verdict.EMPTY}:
        reached = [script.revision for script in chain].index(found.revision) + 1 if found.revision else 0
        pending = tuple(script.revision for script in chain[reached:])
    holder = find_holder(connection, environment)
    return Status(
        environment=environment.name,
        verdict=found.verdict,
        revision=found.revision,
        head=environment.head,
        floor=found.floor,
        pending=pending,
        invalid_indexes=invalid_indexes(connection),
        migrating=None if holder is None else str(holder),
    )


def read_history(connection: psycopg.Connection, environment: Environment) -> list[Applied]:
    """Return the chain, oldest first, and when each of its revisions came into the database behind *connection*."""
    current = probe(connection, environment).revision
    has_history = connection.execute(_HAS_HISTORY).fetchone() == (True,)
    moves = connection.execute(_APPLIED, (environment.version_table,)).fetchall() if has_history else []
    applied = {revision: (at, by) for revision, at, by in moves}
    chain = _chain(environment)
    # A revision that this code does not know lies past all that it knows.
    reached = next((index for index, script in enumerate(chain) if script.revision == current), len(chain))
    is_past = current is not None
    return [
        Applied(
            revision=script.revision,
            title=script.doc or "",
            compatible_with=getattr(script.module, "compatible_with", None),
            is_applied=is_past and index <= reached,
            applied_at=applied.get(script.revision, (None, None))[0],
            applied_by=applied.get(script.revision, (None, None))[1],
        )
        for index, script in enumerate(chain)
    ]


def _chain(environment: Environment) -> list[Script]:
    scripts = ScriptDirectory.from_config(alembic_config(environment))
    return [*scripts.walk_revisions()][::-1]
