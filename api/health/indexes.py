"""The check of indexes: missing or INVALID ones, each with the statements that repair it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import psycopg
from sqlalchemy import MetaData

from api.bounded_connection import BoundedConnection
from api.health.dependencies import Dependencies
from api.health.index_catalog import ExpectedIndex, FoundIndex, expected_indexes, found_indexes, repairs
from api.health.result import CheckResult, Finding, failure, warning
from api.health.trouble import LOGS_DATABASE, MAIN_DATABASE, sentence_of
from logs_db.models import LogsBase
from main_db.models import MainBase

_SLOW_BUILD = (
    "writers of the table wait while it builds, and log events wait in the queue; built CONCURRENTLY on the large "
    "partitions first, those are adopted"
)


def check_indexes(dependencies: Dependencies) -> CheckResult:
    """Whether every index of the models is there and in use; both databases."""
    findings = [
        *_database_findings(LOGS_DATABASE, dependencies.logs_database, LogsBase.metadata),
        *_database_findings(MAIN_DATABASE, dependencies.main_database, MainBase.metadata),
    ]
    summary = "" if findings else "Every index is there and valid."
    return CheckResult.of(findings, value=len(findings), unit="indexes", summary=summary)


def _database_findings(
    what: str, connect: Callable[[], AbstractContextManager[BoundedConnection]], metadata: MetaData
) -> list[Finding]:
    try:
        with connect() as connection:
            found = found_indexes(connection, metadata)
            return [*_missing(metadata, found), *_invalid(connection, found)]
    except psycopg.Error as exc:
        return [failure(sentence_of(exc, what) or what)]


def _missing(metadata: MetaData, found: Iterable[FoundIndex]) -> list[Finding]:
    found = list(found)
    names = {(index.table, index.name) for index in found}
    tables = {index.table for index in found}
    # A table without any index is a missing table, or a schema behind its head: another check's subject.
    return [
        _missing_finding(index)
        for index in expected_indexes(metadata)
        if (index.table, index.name) not in names and index.table in tables
    ]


def _missing_finding(index: ExpectedIndex) -> Finding:
    price = "" if " CONCURRENTLY " in index.create else f" ({_SLOW_BUILD})"
    sentence = f"Index {index.name} of {index.table} is missing: {index.create}{price}"
    return failure(f"{sentence} Until then doubles are not refused.") if index.is_unique else warning(sentence)


def _invalid(connection: psycopg.Connection, found: Iterable[FoundIndex]) -> list[Finding]:
    return [_invalid_finding(connection, index) for index in found if not index.is_valid]


def _invalid_finding(connection: psycopg.Connection, index: FoundIndex) -> Finding:
    sentence = f"Index {index.name} of {index.table} is INVALID and is not read"
    if index.is_being_built:
        return warning(f"{sentence} yet: it is being built right now.")
    statements = " ".join(repairs(connection, index))
    sentence = f"{sentence}: {statements or 'repair the INVALID indexes of its partitions.'}"
    return failure(sentence) if index.is_unique else warning(sentence)
