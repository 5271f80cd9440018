"""Migrations and states through a real pgbouncer in transaction mode."""

from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from migrator.errors import PermanentError
from migrator.lock import MigrationLock
from migrator.state import State, read_state
from migrator.upgrade import upgrade_to_head
from tests.fixtures.pgbouncer import PROGRAM, pgbouncer
from tests.fixtures.small_environment import SmallEnvironment, rows, small_environment, starting_process

PROCESSES = 6
OUTSIDE = """
with op.get_context().autocommit_block():
    op.execute('CREATE INDEX CONCURRENTLY items_again ON items (id)')
"""

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    small = small_environment(tmp_path, direct_url_variable="SMALL_DIRECT_URL")
    small.add("r1", "op.execute('CREATE TABLE items (id int)')")
    return small.add("r2", "op.execute('ALTER TABLE items ADD COLUMN more int')")


def test_many_at_once_through_the_pooler_run_each_transactional_revision_once(
    small: SmallEnvironment, tmp_path: Path, database_url: str
) -> None:
    with ExitStack() as stack:
        pooled = stack.enter_context(pgbouncer(tmp_path / "pooler", database_url))
        processes = [stack.enter_context(starting_process(small.environment)) for _ in range(PROCESSES)]
        for process in processes:
            process.tell(pooled)

        assert [process.answer().get("revision") for process in processes] == ["r2"] * PROCESSES
        assert read_state(small.environment, pooled).state is State.AT_HEAD
    assert rows(database_url, "SELECT to_revision, outcome FROM migrator.history ORDER BY id") == [
        ("r1", "done"),
        ("r2", "done"),
    ]


def test_a_revision_outside_a_transaction_is_refused_there_and_run_by_the_direct_url(
    small: SmallEnvironment, tmp_path: Path, database_url: str
) -> None:
    small.add("r3", OUTSIDE)
    with pgbouncer(tmp_path / "pooler", database_url) as pooled:
        with pytest.raises(PermanentError, match=r"connection pooler\. Nothing was changed\. Set SMALL_DIRECT_URL to"):
            upgrade_to_head(small.environment, pooled)
        assert rows(database_url, "SELECT version_num, to_regclass('items_again') FROM small_version") == [("r2", None)]

        assert upgrade_to_head(small.environment, pooled, ddl_url=database_url).after.revision == "r3"


def test_the_lock_is_exclusive_through_the_pooler_and_seen_by_who_looks(
    small: SmallEnvironment, tmp_path: Path, database_url: str
) -> None:
    with (
        pgbouncer(tmp_path / "pooler", database_url) as pooled,
        psycopg.connect(pooled, application_name="first") as first,
        psycopg.connect(pooled, application_name="second") as second,
    ):
        lock = MigrationLock(first, small.environment)
        assert lock.try_take()

        assert not MigrationLock(second, small.environment).try_take()
        found = read_state(small.environment, pooled)
        lock.release()

    assert found.state is State.MIGRATING
    assert found.migration is not None
    assert found.migration.application_name == "first"
