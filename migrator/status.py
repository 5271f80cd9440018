"""What there is to tell about one database: where it stands, what is pending, what was done when."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory

from migrator.configuration import alembic_config
from migrator.probe import has_history, probe

if TYPE_CHECKING:
    import psycopg
    from alembic.script import Script

    from migrator.environment import Environment

# As JSON, because an older version of this package kept fewer columns.
_MOVES = "SELECT pg_catalog.to_jsonb(h) FROM migrator.history h WHERE version_table = %s ORDER BY id"


@dataclass(frozen=True)
class Move:
    """
    One move of a database's version row, or one that failed.

    Args:
        direction: `upgrade`, `downgrade` or `stamp`; None: recorded by an older version of this package, as below.
        from_revision: Where it began; None: at no revision.
        to_revision: Where it led, or would have.
        outcome: `done` or `failed`.
        error: Of what it failed.
        applied_at: When it ended.
        duration_ms: How long its last attempt took.
        lock_wait_ms: How long it had waited for locks before that.
        attempts: How often it was begun; of a failure, how often it failed the same way.
        code_version: Of which version of the code.
        host: On which machine the program ran.
        applied_by: As which role.
        application_name: How the server's own views showed the program.
    """

    direction: str | None
    from_revision: str | None
    to_revision: str | None
    outcome: str
    error: str | None
    applied_at: datetime
    duration_ms: int | None
    lock_wait_ms: int | None
    attempts: int | None
    code_version: str | None
    host: str | None
    applied_by: str
    application_name: str


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


def read_moves(connection: psycopg.Connection, environment: Environment) -> list[Move]:
    """Return all that the database behind *connection* remembers of its moves, oldest first, failures too."""
    if not has_history(connection):
        return []
    remembered = [row for (row,) in connection.execute(_MOVES, (environment.version_table,)).fetchall()]
    names = [field.name for field in fields(Move)]
    return [
        Move(
            **{name: row.get(name) for name in names}
            | {"outcome": row.get("outcome", "done"), "applied_at": datetime.fromisoformat(row["applied_at"])}
        )
        for row in remembered
    ]


def read_history(connection: psycopg.Connection, environment: Environment) -> list[Applied]:
    """Return the chain, oldest first, and when each of its revisions came into the database behind *connection*."""
    current = probe(connection, environment).revision
    applied = {
        move.to_revision: (move.applied_at, move.applied_by)
        for move in read_moves(connection, environment)
        if move.outcome == "done"
    }
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
