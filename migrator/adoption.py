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
from migrator.errors import AdoptionRefusedError
from migrator.fingerprint import Fingerprint, differences, read_fingerprint, stored_fingerprints
from migrator.repair import repair_statements
from migrator.rights import foreign_owners

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
        AdoptionRefusedError: It equals none, or its tables are another role's. Nothing was changed; the message shows
            what differs from the closest revision, and the SQL that would repair it.
    """
    owned_by_others = server.ask(foreign_owners)
    if owned_by_others:
        raise _refusal_of_owners(environment, owned_by_others)
    stored = _oldest_first(environment)
    found: Fingerprint = {}
    for look in range(_LOOKS):
        if look:
            time.sleep(SETTLE_SECONDS)
        found = server.ask(lambda connection: read_fingerprint(connection, environment))
        for revision, fingerprint in stored.items():
            if not differences(fingerprint, found):
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


def _refusal_of_owners(environment: Environment, owners: dict[str, str]) -> AdoptionRefusedError:
    shown = ", ".join(f"{table} ({owner})" for table, owner in owners.items())
    return AdoptionRefusedError(
        f"The {environment.name} database has tables but no revision, and this role neither owns them nor is a member "
        f"of their owners: {shown}. Nothing was changed.",
        [f"{table}: is {owner}'s" for table, owner in owners.items()],
        [f"ALTER TABLE {table} OWNER TO CURRENT_USER;" for table in owners],
        "as a role that may, with this role's name, or use the owner's URL",
    )


def _refusal(environment: Environment, stored: dict[str, Fingerprint], found: Fingerprint) -> AdoptionRefusedError:
    start = f"The {environment.name} database has tables but no revision"
    if not stored:
        return AdoptionRefusedError(
            f"{start}, and there are no fingerprints in {environment.folder / 'fingerprints'} to compare it with. "
            "Nothing was changed."
        )
    by_revision = {revision: differences(fingerprint, found) for revision, fingerprint in stored.items()}
    closest = min(by_revision, key=lambda revision: len(by_revision[revision]))
    lines = by_revision[closest]
    more = f"; and {len(lines) - _DIFFERENCES_SHOWN} more" if len(lines) > _DIFFERENCES_SHOWN else ""
    return AdoptionRefusedError(
        f"{start}, and is not what any revision makes. Nothing was changed. From the closest, {closest}, it differs "
        f"in: {'; '.join(lines[:_DIFFERENCES_SHOWN])}{more}.",
        lines,
        repair_statements(stored[closest], found),
        "then start again, or stamp it by hand if you know better",
    )
