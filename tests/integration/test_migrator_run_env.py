"""The plain alembic command and pytest-alembic on run_env."""

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine

from migrator.budgets import Budgets
from migrator.configuration import alembic_config
from migrator.errors import TemporaryError
from migrator.lock import MigrationLock
from migrator.probe import Verdict, probe
from migrator.urls import engine_url
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.small_environment import SmallEnvironment, rows, run_alembic, run_alembic_apart, small_environment

CREATE_ITEMS = "op.create_table('items', sa.Column('id', sa.Integer, primary_key=True))"
DROP_ITEMS = "op.drop_table('items')"


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    environment = small_environment(
        tmp_path,
        foreign=("other_version",),
        models="Table('items', metadata, Column('id', Integer, primary_key=True))",
    )
    environment.add("r1", CREATE_ITEMS, DROP_ITEMS)
    return environment.add("r2", "op.execute('CREATE TABLE second (id int)')", "op.execute('DROP TABLE second')")


def test_the_plain_command_upgrades_from_any_directory_and_says_so(
    small: SmallEnvironment, any_database_url: str
) -> None:
    done = run_alembic_apart(small, "upgrade", "head", url=any_database_url)

    assert done.returncode == 0, done.stderr
    assert "Running upgrade r1 -> r2" in done.stderr
    assert run_alembic_apart(small, "current", url=any_database_url).stdout.split() == ["r2", "(head)"]


def test_a_percent_sign_in_the_password_is_no_trouble(
    small: SmallEnvironment, postgres: TestDatabaseServer, database_url: str
) -> None:
    database = database_url.rpartition("/")[2]
    server = postgres.superuser_url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS percent")
        connection.execute("CREATE ROLE percent LOGIN SUPERUSER PASSWORD 'a%b%%c@d'")
    try:
        host = server.rpartition("@")[2].partition("/")[0]
        done = run_alembic(small, "upgrade", "head", url=f"postgresql://percent:a%25b%25%25c%40d@{host}/{database}")
        assert done.returncode == 0, done.stderr
    finally:
        with psycopg.connect(server.rpartition("/")[0] + f"/{database}", autocommit=True) as connection:
            connection.execute("DROP OWNED BY percent CASCADE")
            connection.execute("DROP ROLE percent")


def test_a_missing_and_a_malformed_url_are_named_by_variable_and_the_password_is_not_shown(
    small: SmallEnvironment,
) -> None:
    missing = run_alembic(small, "upgrade", "head", url=None)
    malformed = run_alembic(small, "upgrade", "head", url="postgresql://app:secret@host")

    assert (missing.returncode, malformed.returncode) == (-1, -1)
    assert "Set SMALL_URL" in missing.stderr
    assert "SMALL_URL" in malformed.stderr
    assert "names no database" in malformed.stderr
    assert "secret" not in malformed.stderr + malformed.stdout


def test_offline_sql_brings_an_empty_database_to_the_same_place(
    small: SmallEnvironment, new_database: Callable[..., str]
) -> None:
    online, offline = new_database(), new_database()
    script = run_alembic(small, "upgrade", "head", "--sql", url=None)
    with psycopg.connect(offline, autocommit=True) as connection:
        connection.execute(script.stdout.encode())

    assert run_alembic(small, "upgrade", "head", url=online).returncode == 0
    for url in (online, offline):
        with psycopg.connect(url) as connection:
            assert probe(connection, small.environment).verdict is Verdict.AT_HEAD
    moves = "SELECT from_revision, to_revision FROM migrator.history ORDER BY id"
    assert rows(online, moves) == rows(offline, moves) == [(None, "r1"), ("r1", "r2")]


def test_autogenerate_sees_the_models_and_neither_partitions_nor_bookkeeping(tmp_path: Path, database_url: str) -> None:
    small = small_environment(
        tmp_path,
        models="""
Table('items', metadata, Column('id', Integer, primary_key=True))
Table('days', metadata, Column('id', Integer, primary_key=True), postgresql_partition_by='RANGE (id)')
""",
    )
    small.add(
        "r1",
        """
        op.execute('CREATE TABLE items (id serial PRIMARY KEY)')
        op.execute('CREATE TABLE days (id int PRIMARY KEY) PARTITION BY RANGE (id)')
        op.execute('CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (9)')
        """,
    )
    assert run_alembic(small, "upgrade", "head", url=database_url).returncode == 0

    clean = run_alembic(small, "check", url=database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE items ADD COLUMN more int")
    drifted = run_alembic(small, "check", url=database_url)
    written = run_alembic(small, "revision", "--autogenerate", "--rev-id", "r2", "-m", "more", url=database_url)

    assert clean.returncode == 0, clean.stderr + clean.stdout
    assert drifted.returncode != 0
    assert "remove_column" in drifted.stderr
    assert written.returncode == 0
    assert "drop_column('items', 'more')" in (small.folder / "versions" / "r2_more.py").read_text()


def test_a_database_with_another_environments_version_table_is_refused(
    small: SmallEnvironment, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE other_version (version_num varchar(32))")

    done = run_alembic(small, "upgrade", "head", url=database_url)

    assert done.returncode != 0
    assert "other_version" in done.stderr
    assert rows(database_url, "SELECT to_regclass('items'), to_regclass('small_version')") == [(None, None)]


def test_the_hosts_loggers_still_speak_after_an_upgrade(
    small: SmallEnvironment, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("a_host_application")
    command.upgrade(alembic_config(small.environment, url=database_url), "head")

    logger.warning("still here")

    assert "still here" in caplog.text
    assert not logger.disabled


def test_an_engine_or_a_connection_may_be_given_instead_of_a_url(
    small: SmallEnvironment, any_database_url: str
) -> None:
    engine = create_engine(engine_url(any_database_url), poolclass=NullPool)

    command.upgrade(alembic_config(small.environment, connection=engine), "r1")
    with engine.connect() as connection:
        command.upgrade(alembic_config(small.environment, connection=connection), "head")

    assert rows(any_database_url, "SELECT version_num FROM small_version") == [("r2",)]


def test_a_connection_in_a_transaction_is_used_as_it_is_and_a_warning_says_what_that_means(
    small: SmallEnvironment, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(engine_url(database_url), poolclass=NullPool)
    with engine.connect() as connection, connection.begin() as transaction:
        command.upgrade(alembic_config(small.environment, connection=connection), "head")
        transaction.rollback()

    assert [record.event for record in caplog.records if hasattr(record, "event")] == ["transaction_joined"]
    assert rows(database_url, "SELECT to_regclass('items')") == [(None,)]


def test_the_plain_command_waits_for_whoever_holds_the_lock_and_names_it(
    small: SmallEnvironment, database_url: str
) -> None:
    budgets = Budgets(peer_seconds=0.5)
    with psycopg.connect(database_url, application_name="the holder") as holder:
        with MigrationLock(holder, small.environment) as lock:
            assert lock.try_take()
            with pytest.raises(TemporaryError, match=rf"server process {lock.proof.backend_pid} \(the holder, .*since"):
                command.upgrade(alembic_config(small.environment, url=database_url, budgets=budgets), "head")
            assert command.current(alembic_config(small.environment, url=database_url)) is None
            release = threading.Timer(0.3, holder.rollback)
            release.start()
            done = run_alembic(small, "upgrade", "r1", url=database_url)
            release.join()

        assert done.returncode == 0, done.stderr
        assert re.search(r"Waiting for another process .*: server process \d+ \(the holder, ", done.stderr)
        command.upgrade(alembic_config(small.environment, url=database_url, budgets=budgets), "head")


def test_what_the_command_refuses_is_one_line_and_no_traceback(small: SmallEnvironment, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE other_version (version_num varchar(32))")

    done = run_alembic(small, "upgrade", "head", url=database_url)

    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("FAILED: This database carries other_version")


def test_two_heads_are_refused(small: SmallEnvironment, database_url: str) -> None:
    twin = small.folder / "versions" / "r9_of_a_test.py"
    twin.write_text((small.folder / "versions" / "r2_of_a_test.py").read_text().replace("'r2'", "'r9'"))

    with pytest.raises(CommandError, match="Multiple head revisions"):
        command.upgrade(alembic_config(small.environment, url=database_url), "head")


def test_the_command_leaves_the_loggers_that_are_there_alone(small: SmallEnvironment, database_url: str) -> None:
    logger = logging.getLogger("an_application_that_runs_the_command")

    assert run_alembic(small, "upgrade", "head", url=database_url).returncode == 0

    assert not logger.disabled
