"""How a live database differs from what its own revision makes: read-only, and fair to one that is just changing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from migrator.errors import PermanentError, TemporaryError
from migrator.fingerprint import differences, read_fingerprint, stored_fingerprint
from migrator.lock import find_holder
from migrator.probe import probe

if TYPE_CHECKING:
    from migrator.environment import Environment

_LOOKS = 3
_LOCK_TIMEOUT_MS = 500


def read_drift(connection: psycopg.Connection, environment: Environment) -> list[str]:
    """
    Return how the catalog differs from what the database's own revision makes, one readable line each.

    Nothing is written, and nobody waits for it. A difference that a migration makes at that moment is not told as
    drift: the database is looked at again.

    Raises:
        PermanentError: It has no revision, or one that this code does not know.
        TemporaryError: It is being migrated, or somebody is changing a table and keeps it locked.
    """
    for _ in range(_LOOKS):
        revision = _comparable_revision(connection, environment)
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_MS}ms'")
                found = read_fingerprint(connection, environment)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.InternalError_) as error:
            # A table that is locked by whoever changes it, or an object that went while its definition was written out.
            reason = str(error.diag.message_primary or error)
            continue
        drift = differences(stored_fingerprint(environment, revision), found)
        if not drift:
            return []
        holder = find_holder(connection, environment)
        reason = f"{holder} is migrating it" if holder else "its revision moved meanwhile"
        if holder is None and probe(connection, environment).revision == revision:
            return drift
    raise TemporaryError(
        f"The {environment.name} database is just changing ({reason}), so its schema says nothing now. Nothing was "
        "changed. Ask again when that is done."
    )


def _comparable_revision(connection: psycopg.Connection, environment: Environment) -> str:
    revision = probe(connection, environment).revision
    if revision is not None and revision in environment.known_revisions:
        return revision
    at = "has no revision" if revision is None else f"is at {revision}, which this code does not know"
    raise PermanentError(
        f"The {environment.name} database {at}, so there is nothing to compare it with. Nothing was changed."
    )
