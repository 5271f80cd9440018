"""A revision run up, down and up again on rows, with all that it did on the way written down."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from alembic import command
from psycopg import sql
from sqlalchemy import NullPool, create_engine

from migrator.authoring.lock_trace import LockTrace
from migrator.authoring.seeding import Seeded, SeedTable, read_tables, seed
from migrator.authoring.traced_connection import TracedConnection
from migrator.budgets import Budgets
from migrator.classifier import sentence
from migrator.configuration import alembic_config
from migrator.connections import startup_options
from migrator.fingerprint import Fingerprint, differences, read_fingerprint

if TYPE_CHECKING:
    from migrator.authoring.chain import Chain, RevisionFile
    from migrator.authoring.lock_trace import TracedStatement
    from migrator.authoring.scratch import Scratch
    from migrator.environment import Environment

_ABORTED = "25P02"


@dataclass
class RoundTrip:
    """
    What was seen.

    Args:
        seeded: The rows it ran on, by table.
        statements: What the first way up ran, with its locks.
        up_ms: How long that took.
        down_ms: How long the way down took; None: it was not gone.
        fingerprint: What the revision makes; None: it failed.
        problems: What is wrong, a sentence each; empty: the revision is sound.
    """

    seeded: list[Seeded] = field(default_factory=list)
    statements: list[TracedStatement] = field(default_factory=list)
    up_ms: float = 0.0
    down_ms: float | None = None
    fingerprint: Fingerprint | None = None
    problems: list[str] = field(default_factory=list)


def go_round(scratch: Scratch, chain: Chain, file: RevisionFile, rows: int) -> RoundTrip:
    """
    Run *file* up, down and up again in a fresh database with *rows* rows a table; return what was seen.

    Raises:
        PermanentError: What the revision builds upon does not run.
    """
    trip = RoundTrip()
    with scratch.database(chain, file.down_revision) as url:
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            tables = read_tables(connection, _version_tables(chain.environment))
            trip.seeded = seed(connection, tables, rows)
            counts = _counts(connection, tables)
            before = read_fingerprint(connection, chain.environment)
        _go_up(chain.environment, url, file, trip)
        if trip.problems:
            return trip
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            trip.fingerprint = read_fingerprint(connection, chain.environment)
            trip.problems += _lost_rows(counts, connection, tables)
        _go_down_and_up(chain.environment, url, file, trip, before)
    return trip


def run_traced(environment: Environment, url: str, revision: str, trip: RoundTrip) -> None:
    """Run the upgrade to *revision* in the database at *url*, write down in *trip* what it does; raises its error."""
    left_out = _version_tables(environment)
    settings = startup_options({"TimeZone": "UTC", "lock_timeout": f"{int(Budgets().lock_timeout_seconds * 1000)}ms"})
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: TracedConnection.connect(url, options=settings, prepare_threshold=None),
        poolclass=NullPool,
    )
    trace = LockTrace(url, left_out)
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            if isinstance(driver, TracedConnection):
                driver.observer = trace
            began = time.monotonic()
            try:
                command.upgrade(alembic_config(environment, url=url, connection=connection), revision)
            finally:
                trip.up_ms = (time.monotonic() - began) * 1000
    finally:
        trace.close()
        trip.statements = _own(trace.statements, environment)


def _go_up(environment: Environment, url: str, file: RevisionFile, trip: RoundTrip) -> None:
    try:
        run_traced(environment, url, file.revision, trip)
    except Exception as error:  # noqa: BLE001 - a revision is code of others; what it raises is reported
        trip.problems.append(_failure(f"upgrade() of {file.revision}", error, trip.statements))


def _go_down_and_up(
    environment: Environment, url: str, file: RevisionFile, trip: RoundTrip, before: Fingerprint
) -> None:
    began = time.monotonic()
    try:
        command.downgrade(alembic_config(environment, url=url, lose_data=True), file.down_revision or "base")
    except Exception as error:  # noqa: BLE001 - as above
        trip.problems.append(_failure(f"downgrade() of {file.revision}", error, []))
        return
    trip.down_ms = (time.monotonic() - began) * 1000
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        left = differences(before, read_fingerprint(connection, environment))
    trip.problems += [f"downgrade() of {file.revision} does not undo its upgrade(): {line}" for line in left]
    try:
        command.upgrade(alembic_config(environment, url=url), file.revision)
    except Exception as error:  # noqa: BLE001 - as above
        trip.problems.append(_failure(f"The second upgrade() of {file.revision}", error, []))
        return
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        again = differences(trip.fingerprint or {}, read_fingerprint(connection, environment))
    trip.problems += [f"The second upgrade() of {file.revision} makes something else: {line}" for line in again]


def _failure(what: str, error: Exception, statements: list[TracedStatement]) -> str:
    links: list[BaseException] = [error]
    while links[-1].__cause__ is not None:
        links.append(links[-1].__cause__)
    if any(getattr(link, "sqlstate", None) == _ABORTED for link in links):
        first = next((one for one in statements if one.error), None)
        where = f": `{first.text}` failed with {first.error}" if first else ""
        return (
            f"{what} swallows an error of the server and goes on in a transaction that can only be rolled back{where}. "
            "Let the error out, or ask the catalog first."
        )
    return f"{what} failed: {sentence(error)}."


def _own(statements: list[TracedStatement], environment: Environment) -> list[TracedStatement]:
    """Leave out what the machinery around a revision asks and writes."""
    own: list[TracedStatement] = []
    for one in statements:
        text = one.text.lstrip("( ")
        is_bookkeeping = environment.version_table in text or "migrator." in text or "pg_advisory" in text
        if not is_bookkeeping and not text.upper().startswith(("SELECT", "SET ", "SHOW", "BEGIN", "COMMIT")):
            own.append(one)
    return own


def _version_tables(environment: Environment) -> list[str]:
    return [environment.version_table, *environment.foreign_version_tables]


def _counts(connection: psycopg.Connection[Any], tables: list[SeedTable]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in tables:
        row = connection.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (_quoted(table),)).fetchone()
        if row == (True,):
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.schema, table.name))
            counts[str(table)] = int((connection.execute(query).fetchone() or (0,))[0])
    return counts


def _quoted(table: SeedTable) -> str:
    return sql.Identifier(table.schema, table.name).as_string()


def _lost_rows(before: dict[str, int], connection: psycopg.Connection[Any], tables: list[SeedTable]) -> list[str]:
    after = _counts(connection, tables)
    return [
        f"upgrade() loses rows: {name} had {count:,} and has {after[name]:,}."
        for name, count in before.items()
        if name in after and after[name] < count
    ]
