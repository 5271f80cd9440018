"""
Taking over a database that has tables but no revision: only on proof that it is exactly what a revision made.

The proof is its catalog, equal to a stored fingerprint. A database that something is just changing gets a little time.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from alembic import command
from alembic.script import ScriptDirectory

from migrator.configuration import alembic_config
from migrator.errors import PermanentError
from migrator.fingerprint import Fingerprint, differences, read_fingerprint, stored_fingerprints

if TYPE_CHECKING:
    from migrator.environment import Environment
    from migrator.lock import LockProof
    from migrator.reach import Server

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 5.0
_LOOKS = 3
_DIFFERENCES_SHOWN = 12


def adopt(environment: Environment, server: Server, proof: LockProof) -> str:
    """
    Stamp the database with the revision whose fingerprint it equals, and return that revision.

    Of several equal ones the oldest is taken: what lies between changed no table, and running it is its own business.
    Otherwise the database is looked at again after `SETTLE_SECONDS`, twice.

    Raises:
        PermanentError: It equals none; the message shows what differs from the closest. Nothing was changed.
    """
    stored = _oldest_first(environment)
    found: Fingerprint = {}
    for look in range(_LOOKS):
        if look:
            time.sleep(SETTLE_SECONDS)
        found = server.ask(lambda connection: read_fingerprint(connection, environment))
        for revision, fingerprint in stored.items():
            if fingerprint == found:
                _stamp(environment, server, proof, revision)
                return revision
    raise _refusal(environment, stored, found)


def _oldest_first(environment: Environment) -> dict[str, Fingerprint]:
    stored = stored_fingerprints(environment)
    scripts = ScriptDirectory.from_config(alembic_config(environment))
    chain = [script.revision for script in scripts.walk_revisions()][::-1]
    return {revision: stored[revision] for revision in chain if revision in stored}


def _stamp(environment: Environment, server: Server, proof: LockProof, revision: str) -> None:
    config = alembic_config(
        environment,
        url=server.url,
        migration_lock=proof,
        budgets=server.budgets,
        application_name=server.application_name,
    )
    command.stamp(config, revision)
    logger.info(
        "a database with tables but no revision was taken over: its catalog is that of a revision",
        extra={"event": "database_adopted", "environment": environment.name, "revision": revision},
    )


def _refusal(environment: Environment, stored: dict[str, Fingerprint], found: Fingerprint) -> PermanentError:
    start = f"The {environment.name} database has tables but no revision"
    if not stored:
        return PermanentError(
            f"{start}, and there are no fingerprints in {environment.folder / 'fingerprints'} to compare it with. "
            "Nothing was changed."
        )
    by_revision = {revision: differences(fingerprint, found) for revision, fingerprint in stored.items()}
    closest = min(by_revision, key=lambda revision: len(by_revision[revision]))
    lines = by_revision[closest]
    more = f"; and {len(lines) - _DIFFERENCES_SHOWN} more" if len(lines) > _DIFFERENCES_SHOWN else ""
    return PermanentError(
        f"{start}, and is not what any revision makes. Nothing was changed. From the closest, {closest}, it differs "
        f"in: {'; '.join(lines[:_DIFFERENCES_SHOWN])}{more}. Make it equal, or stamp it by hand if you know better."
    )
