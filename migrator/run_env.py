"""The whole of an `env.py`: how Alembic reaches the database, what protects it, what autogenerate looks at."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import closing, contextmanager, nullcontext
from logging.config import fileConfig
from typing import TYPE_CHECKING, Any

import psycopg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from migrator.bookkeeping import SCHEMA, record_failure
from migrator.budgets import Budgets
from migrator.connections import migration_engine
from migrator.errors import MigratorError, PermanentError
from migrator.lock import MigrationLock, lock_key
from migrator.partition_compare import PLUGIN, reflected_names
from migrator.progress import Progress
from migrator.revisions import RevisionGuard
from migrator.urls import checked_postgres_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from sqlalchemy import MetaData, Pool

    from migrator.environment import Environment
    from migrator.lock import LockProof

logger = logging.getLogger(__name__)

# Alembic leaves CHECK constraints out unless they are asked for.
_COMPARISONS = ("alembic.autogenerate.*", "alembic.ext.checkconstraint_byname")

_FOREIGN = """
SELECT c.relname FROM pg_catalog.pg_class c
WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(c.oid)
"""


def run_env(environment: Environment, target_metadata: MetaData) -> None:
    """
    Run whatever Alembic command is under way for *environment*; all that its env.py has to call.

    Reads from the configuration's attributes, all optional: `url` (else the environment's variables), `connection`
    (an Engine or a Connection to use instead), `migration_lock` (a LockProof that the lock is held; else it is
    taken here), `budgets`,
    `progress` (a Progress that is told which revision is being run), `application_name`.

    Raises:
        MigratorError: It was refused or given up; under the alembic command a CommandError with the same sentence.
    """
    config = context.config
    by_command = _is_command(config)
    if by_command and config.config_file_name and config.file_config.has_section("loggers"):
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    try:
        if context.is_offline_mode():
            _run_offline(environment, target_metadata)
        else:
            _run_online(environment, target_metadata, config)
    except MigratorError as error:
        if by_command:
            raise CommandError(str(error)) from error
        raise


def _is_command(config: Config) -> bool:
    """Whether the alembic command runs, and not a program that calls Alembic."""
    return getattr(config.cmd_opts, "cmd", None) is not None


def _tell_waiting(holder: str) -> None:
    # Whoever sits before the command sees what alembic.ini lets through, which may be nothing of ours.
    print(f"Waiting for another process that is migrating this database: {holder}", file=sys.stderr, flush=True)


def _run_offline(environment: Environment, target_metadata: MetaData) -> None:
    guard = RevisionGuard(environment, Budgets(), Progress())
    _configure(environment, target_metadata, guard, dialect_name="postgresql", literal_binds=True)
    with guard.watching(context.get_context(), None), context.begin_transaction():
        context.run_migrations()


def _run_online(environment: Environment, target_metadata: MetaData, config: Config) -> None:
    budgets: Budgets = config.attributes.get("budgets") or Budgets()
    given: Progress | None = config.attributes.get("progress")
    progress = given or Progress()
    guard = RevisionGuard(environment, budgets, progress)
    with _connection(environment, config, budgets) as connection:
        if connection.in_transaction():
            logger.warning(
                "the caller's open transaction is used as it is; what runs is kept only if the caller commits it",
                extra={"event": "transaction_joined", "environment": environment.name},
            )
        _configure(
            environment,
            target_metadata,
            guard,
            connection=connection,
            compare_type=True,
            compare_server_default=True,
            include_schemas=any(table.schema for table in target_metadata.tables.values()),
            include_name=reflected_names(target_metadata, SCHEMA),
            autogenerate_plugins=[*_COMPARISONS, PLUGIN],
        )
        with (
            _failure_recorded(environment, connection.engine, progress) if given is None else nullcontext(),
            _lock(environment, config, connection.engine, budgets, progress) as proof,
            guard.watching(context.get_context(), proof),
            context.begin_transaction(),
        ):
            context.run_migrations()


def _configure(
    environment: Environment,
    target_metadata: MetaData,
    guard: RevisionGuard,
    **options: Any,
) -> None:
    context.configure(
        target_metadata=target_metadata,
        version_table=environment.version_table,
        transaction_per_migration=True,
        on_version_apply=guard.applied,
        **options,
    )


@contextmanager
def _connection(environment: Environment, config: Config, budgets: Budgets) -> Iterator[Connection]:
    given = config.attributes.get("connection")
    if isinstance(given, Connection):
        yield given
    elif given is not None:
        # An Engine, or what stands in for one: pytest-alembic passes both.
        with given.connect() as connection:
            yield connection
    else:
        settings = {
            "lock_timeout": f"{int(budgets.lock_timeout_seconds * 1000)}ms",
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
        }
        name = config.attributes.get("application_name") or f"migrator:{environment.name}"
        engine = migration_engine(_url(environment, config), application_name=name, settings=settings)
        with engine.connect() as own:
            yield own


def _url(environment: Environment, config: Config) -> str:
    url = config.attributes.get("url") or environment.url_from_variables()
    names = " or ".join(environment.url_variables)
    if not url:
        raise PermanentError(f"No URL for the {environment.name} database. Set {names}.")
    try:
        return checked_postgres_url(url)
    except ValueError as error:
        raise PermanentError(f"The URL of the {environment.name} database ({names}) {error}.") from None


@contextmanager
def _failure_recorded(environment: Environment, engine: Engine, progress: Progress) -> Iterator[None]:
    """Add what fails to the history; whoever hands a Progress over tries again himself, and records it himself."""
    try:
        yield
    except BaseException as error:
        pool = engine.pool.recreate()
        record_failure(lambda: _driver_connection(pool), environment, progress, error)
        raise


def _driver_connection(pool: Pool) -> psycopg.Connection:
    """Return a connection made as the pool makes its own, out of the pool."""
    pooled = pool.connect()
    connection = pooled.driver_connection
    pooled.detach()
    if not isinstance(connection, psycopg.Connection):
        raise PermanentError(f"Migrations need psycopg 3, but the engine given uses {type(connection).__module__}.")
    return connection


@contextmanager
def _lock(
    environment: Environment, config: Config, engine: Engine, budgets: Budgets, progress: Progress
) -> Iterator[LockProof | None]:
    """Hold the lock on a connection of its own, made like the given engine's, unless the caller holds it."""
    with closing(_driver_connection(engine.pool.recreate())) as connection:
        _refuse_foreign(environment, connection)
        given: LockProof | None = config.attributes.get("migration_lock")
        if given is not None and given.key != lock_key(environment.version_table):
            raise PermanentError(f"The lock handed over is not that of the {environment.name} environment.")
        if given is not None or context.get_context().opts.get("dont_mutate"):
            yield given
        else:
            with MigrationLock(connection, environment) as lock:
                asked = time.monotonic()
                lock.take(budgets.peer_seconds, report=_tell_waiting if _is_command(config) else None)
                progress.lock_waited_seconds = time.monotonic() - asked
                yield lock.proof


def _refuse_foreign(environment: Environment, connection: psycopg.Connection) -> None:
    row = connection.execute(_FOREIGN, (list(environment.foreign_version_tables),)).fetchone()
    connection.rollback()
    if row is not None:
        raise PermanentError(
            f"This database carries {row[0]}, the version table of another environment; the {environment.name} "
            f"environment keeps its revision in {environment.version_table}. Nothing was changed. Check the URL."
        )
