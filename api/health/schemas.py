"""The checks of the two schemas: at the revision that this code needs, and the tables are there."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import psycopg
from sqlalchemy import MetaData

from api.bounded_connection import BoundedConnection
from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from logs_db.environment import ENVIRONMENT as LOGS_ENVIRONMENT
from logs_db.models import LogsBase
from main_db.environment import ENVIRONMENT as MAIN_ENVIRONMENT
from main_db.models import MainBase
from migrator.environment import Environment
from migrator.state import DatabaseState, State, look

_MISSING = (
    "SELECT name FROM pg_catalog.unnest(%s::text[]) AS name WHERE pg_catalog.to_regclass('public.' || name) IS NULL"
)


@dataclass(frozen=True, slots=True)
class _Schema:
    environment: Environment
    metadata: MetaData
    connect: Callable[[], AbstractContextManager[BoundedConnection]]
    upgrade: str
    """How to bring it to head, for the end of a sentence."""


def check_logs_schema(dependencies: Dependencies) -> CheckResult:
    """Whether this code may run on the logs schema."""
    upgrade = "start a worker, which upgrades it, or run `headhunter db upgrade logs`"
    return _check(_Schema(LOGS_ENVIRONMENT, LogsBase.metadata, dependencies.logs_database, upgrade))


def check_main_schema(dependencies: Dependencies) -> CheckResult:
    """Whether this code may run on the business schema."""
    upgrade = "run `headhunter db upgrade main`"
    return _check(_Schema(MAIN_ENVIRONMENT, MainBase.metadata, dependencies.main_database, upgrade))


def _check(schema: _Schema) -> CheckResult:
    with schema.connect() as connection:
        found = look(connection, schema.environment)
        missing = _missing(connection, schema.metadata.tables) if found.is_usable else []
    judge = _STATES.get(found.state)
    findings = [judge(schema, found)] if judge else []
    if missing:
        findings.insert(
            0,
            failure(
                f"Tables are missing although the revision says they are there: {', '.join(missing)}. "
                "Restore them from a backup; `headhunter db check` shows all that differs."
            ),
        )
    summary = f"At head {found.revision}." if found.state is State.AT_HEAD else ""
    return CheckResult.of(findings, value=found.revision, unit="revision", summary=summary)


def _missing(connection: psycopg.Connection, tables: Iterable[str]) -> list[str]:
    return [name for (name,) in connection.execute(_MISSING, (list(tables),))]


def _behind(schema: _Schema, found: DatabaseState) -> Finding:
    return failure(
        f"The {schema.environment.name} schema is behind: revision {found.revision}, head {schema.environment.head}; "
        f"{schema.upgrade}."
    )


def _empty(schema: _Schema, _: DatabaseState) -> Finding:
    return failure(
        f"The {schema.environment.name} database is empty: its tables are missing, head is {schema.environment.head}; "
        f"{schema.upgrade}."
    )


def _unversioned(schema: _Schema, _: DatabaseState) -> Finding:
    return failure(
        f"The {schema.environment.name} database has tables but no revision; {schema.upgrade}, which adopts them "
        f"if they are what a revision made."
    )


def _ahead_compatible(schema: _Schema, found: DatabaseState) -> Finding:
    return warning(
        f"The {schema.environment.name} schema is ahead of this release: revision {found.revision}, head here "
        f"{schema.environment.head}. This release may run on it; finish the deployment."
    )


def _ahead_incompatible(schema: _Schema, found: DatabaseState) -> Finding:
    return failure(
        f"The {schema.environment.name} schema is ahead of this release: revision {found.revision}, oldest head that "
        f"works on it {found.floor}, head here {schema.environment.head}. Deploy a newer release."
    )


def _diverged(schema: _Schema, found: DatabaseState) -> Finding:
    if found.is_foreign:
        tables = ", ".join(schema.environment.foreign_version_tables)
        return failure(
            f"This is not the {schema.environment.name} database alone: it carries {tables}. DATABASE_URL and "
            "LOGS_DATABASE_URL are swapped, or name one database."
        )
    return failure(found.reason)


def _migrating(schema: _Schema, found: DatabaseState) -> Finding:
    judge = warning if found.is_usable else failure
    return judge(
        f"The {schema.environment.name} database is being migrated by {found.migration}: wait until that is done."
    )


def _drifted(schema: _Schema, found: DatabaseState) -> Finding:
    count = len(found.differences)
    return warning(
        f"The {schema.environment.name} schema has drifted from its revision {found.revision} in {count} "
        f"{'place' if count == 1 else 'places'}: `headhunter db check {schema.environment.name}` shows them."
    )


def _degraded(schema: _Schema, found: DatabaseState) -> Finding:
    cures = "; ".join(f"{name}: {cure}" for name, cure in found.invalid_objects.items())
    return warning(f"The {schema.environment.name} schema has INVALID objects. Repair them: {cures};")


_STATES: dict[State, Callable[[_Schema, DatabaseState], Finding]] = {
    State.BEHIND: _behind,
    State.EMPTY: _empty,
    State.UNVERSIONED: _unversioned,
    State.AHEAD_COMPATIBLE: _ahead_compatible,
    State.AHEAD_INCOMPATIBLE: _ahead_incompatible,
    State.DIVERGED: _diverged,
    State.MIGRATING: _migrating,
    State.DRIFTED: _drifted,
    State.DEGRADED: _degraded,
}
