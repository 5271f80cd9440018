"""What the history of a database tells: each move, done or failed, by whom, from where, how long and how often."""

import socket
from pathlib import Path

import psycopg
import pytest

from migrator.budgets import Budgets
from migrator.downgrade import downgrade
from migrator.errors import PermanentError, TemporaryError
from migrator.probe import Verdict
from migrator.status import read_moves
from migrator.upgrade import upgrade_to_head
from tests.fixtures.small_environment import SmallEnvironment, rows, run_alembic, small_environment

QUICK = Budgets(lock_timeout_seconds=0.1, lock_attempts=2)
MOVES = "SELECT direction, from_revision, to_revision, outcome, attempts FROM migrator.history ORDER BY id"


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    return small_environment(tmp_path).add("r1", "op.execute('CREATE TABLE items (id int)')")


def rewrite_first(small: SmallEnvironment, upgrade: str) -> None:
    (small.folder / "versions" / "r1_of_a_test.py").unlink()
    (small.folder / "HEAD.txt").unlink()
    small.add("r1", upgrade)


def test_each_move_is_recorded_with_all_that_belongs_to_it(small: SmallEnvironment, any_database_url: str) -> None:
    small.add("r2", "time.sleep(0.05)")
    upgrade_to_head(small.environment, any_database_url, application_name="deploy 7")
    downgrade(small.environment, any_database_url, "r1")

    assert rows(any_database_url, MOVES) == [
        ("upgrade", None, "r1", "done", 1),
        ("upgrade", "r1", "r2", "done", 1),
        ("downgrade", "r2", "r1", "done", 1),
    ]
    with psycopg.connect(any_database_url) as connection:
        moves = read_moves(connection, small.environment)
        user = connection.info.user
    slow = moves[1]
    assert 50 <= (slow.duration_ms or 0) < 5000
    assert (slow.applied_by, slow.host, slow.application_name) == (user, socket.gethostname(), "deploy 7")
    assert slow.lock_wait_ms is not None
    assert slow.error is None


def test_a_failure_is_recorded_after_the_rollback_and_its_repetition_counted(
    small: SmallEnvironment, any_database_url: str
) -> None:
    small.add("r2", "op.execute('CREATE TABLE before (id int)'); op.execute('ALTER TABLE nowhere ADD COLUMN a int')")
    for _ in range(3):
        with pytest.raises(PermanentError, match="nowhere"):
            upgrade_to_head(small.environment, any_database_url)

    assert rows(any_database_url, MOVES) == [
        ("upgrade", None, "r1", "done", 1),
        ("upgrade", "r1", "r2", "failed", 3),
    ]
    assert rows(any_database_url, "SELECT error FROM migrator.history WHERE error IS NOT NULL") == [
        ('relation "nowhere" does not exist',)
    ]


def test_the_very_first_revision_may_fail_too_and_the_database_stays_empty(
    small: SmallEnvironment, database_url: str, stranger_url: str
) -> None:
    rewrite_first(small, "op.execute('SELECT 1 / 0')")
    for _ in range(2):
        with pytest.raises(PermanentError, match="division by zero"):
            upgrade_to_head(small.environment, database_url)
    assert rows(database_url, MOVES) == [("upgrade", None, "r1", "failed", 2)]

    rewrite_first(small, "pass")
    upgrade_to_head(small.environment, database_url)

    assert rows(database_url, MOVES)[1:] == [("upgrade", None, "r1", "done", 1)]
    # A role that may do nothing else reads which revision it is, as it does where nothing ever failed.
    assert upgrade_to_head(small.environment, stranger_url).after.verdict is Verdict.AT_HEAD


def test_what_is_kept_of_a_failure_holds_no_value_of_a_row(small: SmallEnvironment, database_url: str) -> None:
    upgrade_to_head(small.environment, database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE people (email text, age int CHECK (age > 18))")
        connection.execute("INSERT INTO people VALUES ('ann@example.org', 41), ('ann@example.org', 42)")
    for change in (
        "ALTER TABLE people ADD UNIQUE (email)",
        "UPDATE people SET age = age - 40",
        "ALTER TABLE people ALTER email TYPE int USING email::int",
        "ALTER TABLE people ALTER email TYPE json USING email::json",
    ):
        small.add("r2", f"op.execute('{change}')")
        with pytest.raises(PermanentError, match=r"ann@example\.org|\"ann\""):
            upgrade_to_head(small.environment, database_url)
        small.without("r2", "r1")

    assert rows(database_url, "SELECT error FROM migrator.history WHERE outcome = 'failed' ORDER BY id") == [
        ('could not create unique index "people_email_key"',),
        ('new row for relation "people" violates check constraint "people_age_check"',),
        ('invalid input syntax for type integer: "..."',),
        ("invalid input syntax for type json",),
    ]


def test_attempts_given_up_for_want_of_a_lock_are_told_by_number_and_by_time(
    small: SmallEnvironment, database_url: str
) -> None:
    upgrade_to_head(small.environment, database_url)
    small.add("r2", "op.execute('ALTER TABLE items ADD COLUMN more int')")
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE items")
        with pytest.raises(TemporaryError, match="did not get its locks in 2 attempts"):
            upgrade_to_head(small.environment, database_url, budgets=QUICK)

    assert rows(database_url, MOVES)[1:] == [("upgrade", "r1", "r2", "failed", 2)]
    waited = rows(database_url, "SELECT lock_wait_ms >= 100 FROM migrator.history WHERE outcome = 'failed'")
    assert waited == [(True,)]


def test_the_plain_alembic_command_records_its_failures_as_well(small: SmallEnvironment, database_url: str) -> None:
    small.add("r2", "op.execute('SELECT 1 / 0')")

    assert run_alembic(small, "upgrade", "head", url=database_url).returncode != 0
    assert rows(database_url, MOVES)[1:] == [("upgrade", "r1", "r2", "failed", 1)]


def test_a_history_of_an_older_version_of_this_package_is_extended(small: SmallEnvironment, database_url: str) -> None:
    upgrade_to_head(small.environment, database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "ALTER TABLE migrator.history DROP COLUMN direction, DROP COLUMN outcome, DROP COLUMN error, "
            "DROP COLUMN duration_ms, DROP COLUMN lock_wait_ms, DROP COLUMN attempts, DROP COLUMN code_version, "
            "DROP COLUMN host"
        )
    with psycopg.connect(database_url) as connection:
        assert [move.outcome for move in read_moves(connection, small.environment)] == ["done"]
    small.add("r2")
    upgrade_to_head(small.environment, database_url)

    assert rows(database_url, MOVES) == [(None, None, "r1", "done", None), ("upgrade", "r1", "r2", "done", 1)]
