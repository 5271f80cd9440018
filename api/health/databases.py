"""The checks of the two databases themselves: reachable, writable, and the role has the rights that its work needs."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import psycopg
from sqlalchemy import MetaData

from api.bounded_connection import BoundedConnection
from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.trouble import LOGS_DATABASE, MAIN_DATABASE
from logs_db.models import LogsBase
from main_db.models import MainBase

_ROLE = """
SELECT current_user AS role,
       pg_catalog.has_schema_privilege('public', 'CREATE') AS may_create,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       pg_catalog.current_setting('default_transaction_read_only') = 'on' AS is_read_only
"""
# A name in both lists: what the role may not do with the table; a table that is missing is another check's subject.
_RIGHTS = """
SELECT c.relname,
       pg_catalog.concat_ws(', ',
         CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
         CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END),
       pg_catalog.pg_has_role(c.relowner, 'USAGE')
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY(%s)
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class _Role:
    name: str
    may_create: bool
    is_standby: bool
    is_read_only: bool


def check_logs_database(dependencies: Dependencies) -> CheckResult:
    """Whether the logs database answers and its role may write, and make partitions."""
    return _check(LOGS_DATABASE, dependencies.logs_database, LogsBase.metadata, _logs_owner_findings)


def check_main_database(dependencies: Dependencies) -> CheckResult:
    """Whether the business database answers and its role may write, and migrate."""
    return _check(MAIN_DATABASE, dependencies.main_database, MainBase.metadata, _main_owner_findings)


def _check(
    what: str,
    connect: Callable[[], AbstractContextManager[BoundedConnection]],
    metadata: MetaData,
    owner_findings: Callable[[_Role, list[str]], list[Finding]],
) -> CheckResult:
    began = time.monotonic()
    with connect() as connection:
        role = _role(connection)
        answer_ms = round((time.monotonic() - began) * 1000, 1)
        refused, foreign = _rights(connection, metadata.tables)
    findings = _write_findings(what, role)
    findings += [
        failure(f"Role {role.name} lacks {rights} on {table}: GRANT {rights} ON public.{table} TO {role.name};")
        for table, rights in refused
    ]
    findings += owner_findings(role, foreign)
    summary = f"{what[0].upper()}{what[1:]} answers in {answer_ms:.0f} ms."
    return CheckResult.of(findings, value=answer_ms, unit="ms", summary=summary)


def _role(connection: psycopg.Connection) -> _Role:
    row = connection.execute(_ROLE).fetchone()
    return _Role(*row) if row else _Role("", may_create=False, is_standby=False, is_read_only=False)


def _rights(connection: psycopg.Connection, tables: Iterable[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Tables with the rights that are lacking on them, and tables of somebody else."""
    rows = connection.execute(_RIGHTS, (list(tables),)).fetchall()
    return [(table, rights) for table, rights, _ in rows if rights], [table for table, _, owned in rows if not owned]


def _write_findings(what: str, role: _Role) -> list[Finding]:
    if role.is_standby:
        return [failure(f"{what[0].upper()}{what[1:]} is a standby and refuses writes: point the URL at the primary.")]
    if role.is_read_only:
        return [
            failure(
                f"Role {role.name} writes nothing: ALTER ROLE {role.name} RESET default_transaction_read_only; "
                "or the same for the database."
            )
        ]
    return []


def _logs_owner_findings(role: _Role, foreign: list[str]) -> list[Finding]:
    """An owner role of its own is a good way to run it, so this alone is only a warning; partitions tell the rest."""
    escape = "or let the workers have a role that may, by LOGS_MIGRATION_DATABASE_URL"
    if not role.may_create:
        return [
            warning(
                f"Role {role.name} may not CREATE in schema public, so it can neither migrate nor make partitions: "
                f"GRANT CREATE ON SCHEMA public TO {role.name}; {escape}."
            )
        ]
    if foreign:
        return [
            warning(
                f"Role {role.name} does not own {', '.join(foreign)}, so it can neither migrate nor attach partitions: "
                f"make it a member of the owner, {escape}."
            )
        ]
    return []


def _main_owner_findings(role: _Role, foreign: list[str]) -> list[Finding]:
    if not role.may_create:
        return [
            warning(
                f"Role {role.name} may not CREATE in schema public, so `headhunter db upgrade main` needs a role "
                f"that may: GRANT CREATE ON SCHEMA public TO {role.name}; or deploy with the owner's URL."
            )
        ]
    if foreign:
        return [
            warning(
                f"Role {role.name} does not own {', '.join(foreign)}, so `headhunter db upgrade main` needs the "
                "owner's URL."
            )
        ]
    return []
