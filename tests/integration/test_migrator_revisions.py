"""What run_env does around each revision: its transaction, the version row, the floor, consent, autocommit."""

import logging
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine

from migrator.configuration import alembic_config
from migrator.errors import DataLossRefusedError, LockLostError, PermanentError, VersionMovedError
from migrator.lock import LockProof, MigrationLock
from migrator.state import read_state
from migrator.urls import engine_url
from tests.fixtures.small_environment import SmallEnvironment, rows, run_alembic, small_environment

CREATE_ITEMS = "op.create_table('items', sa.Column('id', sa.Integer, primary_key=True))"
DROP_ITEMS = "op.drop_table('items')"
CONSENT = "from migrator.consent import require_data_loss_consent"


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    environment = small_environment(tmp_path).add("r1", CREATE_ITEMS, DROP_ITEMS)
    return environment.add("r2", "op.execute('CREATE TABLE second (id int)')", "op.execute('DROP TABLE second')")


def test_the_version_row_stays_locked_while_a_revision_runs(small: SmallEnvironment, database_url: str) -> None:
    small.add(
        "r3",
        f"""
        import psycopg
        with psycopg.connect({database_url!r}, options='-c lock_timeout=100ms') as other:
            try:
                other.execute("UPDATE small_version SET version_num = 'zz'")
            except psycopg.errors.LockNotAvailable:
                op.execute('CREATE TABLE proof (id int)')
        """,
    )
    command.upgrade(alembic_config(small.environment, url=database_url), "head")

    assert rows(database_url, "SELECT version_num, to_regclass('proof')::text FROM small_version") == [("r3", "proof")]


def test_a_second_first_revision_is_kept_out_though_there_is_no_row_to_lock(tmp_path: Path, database_url: str) -> None:
    small = small_environment(tmp_path).add(
        "r1",
        f"""
        import psycopg
        with psycopg.connect({database_url!r}, options='-c lock_timeout=100ms') as other:
            try:
                other.execute("INSERT INTO small_version VALUES ('zz')")
            except psycopg.errors.LockNotAvailable:
                op.execute('CREATE TABLE proof (id int)')
        """,
    )
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE small_version (version_num varchar(32) PRIMARY KEY)")
    command.upgrade(alembic_config(small.environment, url=database_url), "head")

    assert rows(database_url, "SELECT version_num, to_regclass('proof')::text FROM small_version") == [("r1", "proof")]


class Meddler(logging.Handler):
    """Does something to the database at the moment when Alembic has announced a revision, before it runs."""

    def __init__(self, url: str, revision: str, statement: str) -> None:
        super().__init__()
        self.url, self.announcement, self.statement = url, f"-> {revision},", statement

    def emit(self, record: logging.LogRecord) -> None:
        if self.announcement in record.getMessage():
            with psycopg.connect(self.url) as connection:
                connection.execute(self.statement)


@pytest.fixture
def announcements(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    logger = logging.getLogger("alembic.runtime.migration")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    return logger


def test_a_version_row_that_somebody_moved_stops_the_revision_before_it_begins(
    small: SmallEnvironment, database_url: str, announcements: logging.Logger
) -> None:
    small.add("r3", "op.execute('CREATE TABLE third (id int)')")
    announcements.addHandler(Meddler(database_url, "r3", "UPDATE small_version SET version_num = 'r1'"))

    with pytest.raises(VersionMovedError, match="holds r1, but r2 was read before"):
        command.upgrade(alembic_config(small.environment, url=database_url), "head")

    assert rows(database_url, "SELECT version_num, to_regclass('third') FROM small_version") == [("r1", None)]


def test_a_lost_lock_stops_the_next_revision_before_it_begins(
    small: SmallEnvironment, database_url: str, announcements: logging.Logger
) -> None:
    with psycopg.connect(database_url) as holder, MigrationLock(holder, small.environment) as lock:
        lock.try_take()
        pid = lock.proof.backend_pid
        announcements.addHandler(Meddler(database_url, "r2", f"SELECT pg_terminate_backend({pid}, 5000)"))
        config = alembic_config(small.environment, url=database_url, migration_lock=lock.proof)

        with pytest.raises(LockLostError, match=f"no longer held by server process {pid}"):
            command.upgrade(config, "head")

    assert rows(database_url, "SELECT version_num FROM small_version") == [("r1",)]


def test_a_proof_that_proves_nothing_is_not_believed(small: SmallEnvironment, database_url: str) -> None:
    with psycopg.connect(database_url) as holder, MigrationLock(holder, small.environment) as lock:
        lock.try_take()
        pid = lock.proof.backend_pid
        for proof, error in [
            (LockProof(lock.key, backend_pid=pid + 1_000_000), LockLostError),
            (LockProof(lock.key + 1, backend_pid=pid), PermanentError),
        ]:
            with pytest.raises(error):
                command.upgrade(alembic_config(small.environment, url=database_url, migration_lock=proof), "head")

    assert rows(database_url, "SELECT to_regclass('items')") == [(None,)]


def test_each_revision_is_a_transaction_of_its_own(small: SmallEnvironment, database_url: str) -> None:
    small.add("r3", "op.execute('CREATE TABLE third (id int)'); op.execute('SELECT 1/0')")

    done = run_alembic(small, "upgrade", "head", url=database_url)

    assert done.returncode != 0
    assert "division by zero" in done.stderr
    assert rows(database_url, "SELECT version_num, to_regclass('third') FROM small_version") == [("r2", None)]


def test_the_floor_follows_the_revisions_up_and_down(tmp_path: Path, database_url: str) -> None:
    small = small_environment(tmp_path)
    small.add("r1").add("r2", compatible_with="r1").add("r3", compatible_with="r3").add("r4", compatible_with="r2")
    config = alembic_config(small.environment, url=database_url)
    floors = {}
    for step in ("r1", "r2", "r3", "r4"):
        command.upgrade(config, step)
        floors[step] = rows(database_url, "SELECT floor FROM migrator.compatibility_floor")
    # What r3 broke stays broken, whatever r4 says of itself.
    assert floors == {"r1": [("r1",)], "r2": [("r1",)], "r3": [("r3",)], "r4": [("r3",)]}

    command.downgrade(config, "r2")
    assert rows(database_url, "SELECT floor FROM migrator.compatibility_floor") == [("r1",)]
    command.downgrade(config, "base")
    assert rows(database_url, "SELECT floor FROM migrator.compatibility_floor") == []


def test_a_floor_that_is_no_ancestor_is_refused_and_nothing_is_kept(tmp_path: Path, database_url: str) -> None:
    small = small_environment(tmp_path).add("r1", CREATE_ITEMS, compatible_with="nonsense")

    with pytest.raises(PermanentError, match="compatible_with = 'nonsense'"):
        command.upgrade(alembic_config(small.environment, url=database_url), "head")

    assert rows(database_url, "SELECT to_regclass('items')") == [(None,)]
    # Whoever only looks is told the same.
    assert "compatible_with = 'nonsense'" in read_state(small.environment, database_url).reason


def test_a_downgrade_that_loses_data_wants_consent(tmp_path: Path, database_url: str) -> None:
    small = small_environment(tmp_path)
    small.add("r1", CREATE_ITEMS, f"require_data_loss_consent(op, 'all items')\n{DROP_ITEMS}", extra=CONSENT)
    command.upgrade(alembic_config(small.environment, url=database_url), "head")

    with pytest.raises(DataLossRefusedError, match="would lose all items"):
        command.downgrade(alembic_config(small.environment, url=database_url), "base")
    refused = run_alembic(small, "downgrade", "base", url=database_url)
    assert refused.returncode != 0
    assert "alembic -x lose-data=yes downgrade" in refused.stderr
    assert rows(database_url, "SELECT version_num FROM small_version") == [("r1",)]
    agreed = run_alembic(small, "-x", "lose-data=yes", "downgrade", "base", url=database_url)
    assert agreed.returncode == 0, agreed.stderr
    command.upgrade(alembic_config(small.environment, url=database_url), "head")
    command.downgrade(alembic_config(small.environment, url=database_url, lose_data=True), "base")


def test_offline_downgrades_that_lose_data_want_consent_too(tmp_path: Path) -> None:
    small = small_environment(tmp_path)
    small.add("r1", CREATE_ITEMS, f"require_data_loss_consent(op, 'all items')\n{DROP_ITEMS}", extra=CONSENT)

    with pytest.raises(DataLossRefusedError):
        command.downgrade(alembic_config(small.environment), "r1:base", sql=True)
    output = StringIO()
    config = alembic_config(small.environment, lose_data=True)
    config.output_buffer = output
    command.downgrade(config, "r1:base", sql=True)
    assert "DROP TABLE items" in output.getvalue()


def test_an_operation_outside_the_transaction_builds_an_index_while_the_lock_is_held(
    small: SmallEnvironment, any_database_url: str
) -> None:
    small.add(
        "r3",
        """
        with op.get_context().autocommit_block():
            op.execute('CREATE INDEX CONCURRENTLY items_again ON items (id)')
        """,
    )
    command.upgrade(alembic_config(small.environment, url=any_database_url), "head")

    assert rows(any_database_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'items_again'::regclass") == [
        (True,)
    ]


def test_the_session_lock_of_an_operation_outside_the_transaction_is_given_back(
    small: SmallEnvironment, database_url: str
) -> None:
    small.add("r3", "with op.get_context().autocommit_block():\n    op.execute('SELECT 1/0')")
    engine = create_engine(engine_url(database_url))
    with engine.connect() as connection:
        with pytest.raises(Exception, match="division by zero"):
            command.upgrade(alembic_config(small.environment, connection=connection), "head")
        connection.rollback()
        locks = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").scalar()
    engine.dispose()

    assert locks == 0
