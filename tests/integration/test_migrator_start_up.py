"""What upgrade_to_head decides: who may run, who waits, what is tried again and what ends the start."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from migrator.budgets import Budgets
from migrator.errors import PermanentError, TemporaryError
from migrator.lock import MigrationLock
from migrator.probe import Verdict, probe
from migrator.upgrade import upgrade_to_head
from tests.fixtures.pooler import pooled
from tests.fixtures.small_environment import SmallEnvironment, rows, small_environment

CREATE_ITEMS = "op.create_table('items', sa.Column('id', sa.Integer, primary_key=True))"
QUICK = Budgets(connect_delay_seconds=0.05, peer_seconds=1.0, lock_timeout_seconds=0.2, lock_attempts=3)


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    return small_environment(tmp_path, foreign=("other_version",), direct_url_variable="SMALL_DIRECT_URL").add(
        "r1", CREATE_ITEMS
    )


@contextmanager
def held_table(url: str, table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection
        connection.rollback()


class Caller(logging.Handler):
    """Calls *action* whenever the migrator logs *event*, before the migrator goes on."""

    def __init__(self, event: str, action: Callable[[], None]) -> None:
        super().__init__()
        self.event, self.action = event, action

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", "") == self.event:
            self.action()


@contextmanager
def called_at(event: str, action: Callable[[], None]) -> Iterator[None]:
    logger, caller = logging.getLogger("migrator"), Caller(event, action)
    logger.addHandler(caller)
    try:
        yield
    finally:
        logger.removeHandler(caller)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event for record in caplog.records if hasattr(record, "event")]


def test_an_empty_database_is_brought_to_head_and_the_log_says_from_where_to_where(
    small: SmallEnvironment, any_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "migrator")

    result = upgrade_to_head(small.environment, any_database_url)

    assert (result.before.verdict, result.after.verdict) == (Verdict.EMPTY, Verdict.AT_HEAD)
    assert result.changed
    assert events(caplog) == ["revision_applied", "schema_upgraded"]
    assert not upgrade_to_head(small.environment, any_database_url).changed


def test_code_that_is_older_than_the_database_runs_if_the_floor_allows_it(
    small: SmallEnvironment, database_url: str
) -> None:
    small.add("r2", compatible_with="r1")
    upgrade_to_head(small.environment, database_url)
    small.without("r2", head="r1")

    assert upgrade_to_head(small.environment, database_url).after.verdict is Verdict.AHEAD_COMPATIBLE


def test_code_that_is_older_than_the_floor_is_refused(small: SmallEnvironment, database_url: str) -> None:
    small.add("r2")
    upgrade_to_head(small.environment, database_url)
    small.without("r2", head="r1")

    with pytest.raises(PermanentError, match=r"at revision r2, .* needs code of revision r2 or later"):
        upgrade_to_head(small.environment, database_url)


def test_a_database_ahead_that_records_no_floor_is_refused(small: SmallEnvironment, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE small_version (version_num text); INSERT INTO small_version VALUES ('zz')")

    with pytest.raises(PermanentError, match="records no compatibility floor"):
        upgrade_to_head(small.environment, database_url)


def test_another_environments_database_is_refused(small: SmallEnvironment, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE other_version (version_num text)")

    with pytest.raises(PermanentError, match=r"not the small database: it carries .*other_version"):
        upgrade_to_head(small.environment, database_url)


def test_two_rows_in_the_version_table_are_refused(small: SmallEnvironment, database_url: str) -> None:
    upgrade_to_head(small.environment, database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO small_version VALUES ('r0')")

    with pytest.raises(PermanentError, match=r"holds 2 revisions \(r0, r1\)"):
        upgrade_to_head(small.environment, database_url)


def test_quotes_and_strange_names_in_the_version_table_do_no_harm(tmp_path: Path, database_url: str) -> None:
    small = small_environment(tmp_path, version_table="Sm'all \"Version").add("r1")

    upgrade_to_head(small.environment, database_url)

    with psycopg.connect(database_url) as connection:
        assert probe(connection, small.environment).revision == "r1"


def test_a_role_without_rights_on_the_schema_waits_for_somebody_who_has_them(
    small: SmallEnvironment, database_url: str, stranger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "migrator")
    owner = threading.Timer(0.5, upgrade_to_head, (small.environment, database_url))
    owner.start()

    result = upgrade_to_head(small.environment, stranger_url, budgets=Budgets(peer_seconds=20))

    owner.join()
    assert result.after.verdict is Verdict.AT_HEAD
    assert events(caplog)[0] == "head_awaited"


def test_a_role_without_rights_gives_up_when_the_peer_budget_is_spent(
    small: SmallEnvironment, stranger_url: str
) -> None:
    with pytest.raises(TemporaryError, match=r"the role may not change the schema, and nobody else did within 0\.2 s"):
        upgrade_to_head(small.environment, stranger_url, budgets=Budgets(peer_seconds=0.2))


def test_a_url_for_changes_is_used_for_changes_only(
    small: SmallEnvironment, database_url: str, stranger_url: str
) -> None:
    result = upgrade_to_head(small.environment, stranger_url, ddl_url=database_url)

    assert result.after.verdict is Verdict.AT_HEAD
    assert rows(database_url, "SELECT applied_by <> 'stranger' FROM migrator.history") == [(True,)]


def test_a_revision_that_gets_no_lock_is_run_again_until_it_does(
    small: SmallEnvironment, any_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade_to_head(small.environment, any_database_url)
    small.add("r2", "op.execute('CREATE TABLE before (id int)'); op.execute('ALTER TABLE items ADD COLUMN more int')")
    with held_table(any_database_url, "items") as holder, called_at("revision_delayed", holder.rollback):
        upgrade_to_head(small.environment, any_database_url, budgets=Budgets(lock_timeout_seconds=0.2))

    assert events(caplog) == ["revision_delayed"]
    assert rows(any_database_url, "SELECT to_revision FROM migrator.history ORDER BY id") == [("r1",), ("r2",)]


def test_a_revision_that_never_gets_its_lock_is_given_up_for_now(small: SmallEnvironment, database_url: str) -> None:
    upgrade_to_head(small.environment, database_url)
    small.add("r2", "op.execute('CREATE TABLE before (id int)'); op.execute('ALTER TABLE items ADD COLUMN more int')")
    with (
        held_table(database_url, "items"),
        pytest.raises(TemporaryError, match=r"Revision r2 .* did not get its locks in 3 attempts: canceling .* lock"),
    ):
        upgrade_to_head(small.environment, database_url, budgets=QUICK)

    assert rows(database_url, "SELECT version_num, to_regclass('before') FROM small_version") == [("r1", None)]


OUTSIDE = """
with op.get_context().autocommit_block():
    op.execute('CREATE TABLE IF NOT EXISTS tries (id serial)')
    op.execute('INSERT INTO tries DEFAULT VALUES')
    op.execute('ALTER TABLE items ADD COLUMN IF NOT EXISTS more int')
"""


@pytest.mark.parametrize(
    ("extra", "tries", "expected"), [("", 1, PermanentError), ("idempotent = True", 3, TemporaryError)]
)
def test_what_works_outside_a_transaction_is_run_again_only_if_it_calls_itself_idempotent(
    small: SmallEnvironment, database_url: str, extra: str, tries: int, expected: type[Exception]
) -> None:
    upgrade_to_head(small.environment, database_url)
    small.add("r2", OUTSIDE, extra=extra)
    with held_table(database_url, "items"), pytest.raises(expected, match="Revision r2 "):
        upgrade_to_head(small.environment, database_url, budgets=QUICK)

    assert rows(database_url, "SELECT count(*) FROM tries") == [(tries,)]


def test_a_revision_that_is_wrong_ends_the_start_with_one_sentence(small: SmallEnvironment, database_url: str) -> None:
    small.add("r2", "op.execute('CREATE TABLE before (id int)'); op.execute('ALTER TABLE nowhere ADD COLUMN more int')")

    with pytest.raises(PermanentError) as caught:
        upgrade_to_head(small.environment, database_url)

    assert str(caught.value) == (
        'Revision r2 of the small database failed: relation "nowhere" does not exist. It was rolled back; the database '
        "stays at r1. Trying again will not help: correct the cause first."
    )
    assert rows(database_url, "SELECT to_regclass('before')") == [(None,)]


def test_a_bug_in_a_revision_is_told_like_any_other_fault(small: SmallEnvironment, database_url: str) -> None:
    small.add("r2", "None.nothing()")

    with pytest.raises(PermanentError, match=r"Revision r2 .* failed: 'NoneType' object has no attribute 'nothing'"):
        upgrade_to_head(small.environment, database_url)


def test_an_invalid_index_after_the_upgrade_is_refused_with_the_command_that_repairs_it(
    small: SmallEnvironment, database_url: str
) -> None:
    upgrade_to_head(small.environment, database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE twins (id int); INSERT INTO twins VALUES (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twins_once ON twins (id)")
    small.add("r2")

    with pytest.raises(PermanentError, match="REINDEX INDEX CONCURRENTLY twins_once"):
        upgrade_to_head(small.environment, database_url)


def test_through_a_pooler_that_refuses_options_transactional_revisions_run(
    small: SmallEnvironment, any_database_url: str
) -> None:
    small.add("r2", "op.execute(\"CREATE TABLE settings AS SELECT current_setting('lock_timeout') AS lock_timeout\")")
    with pooled(any_database_url) as url:
        upgrade_to_head(small.environment, url)

    assert rows(any_database_url, "SELECT lock_timeout FROM settings") == [("4s",)]


def test_through_a_pooler_a_revision_outside_a_transaction_is_refused_and_the_variable_named(
    small: SmallEnvironment, any_database_url: str
) -> None:
    small.add("r2", OUTSIDE)
    with (
        pooled(any_database_url) as url,
        pytest.raises(PermanentError, match=r"connection pooler\. Nothing was changed\. Set SMALL_DIRECT_URL to a URL"),
    ):
        upgrade_to_head(small.environment, url)

    assert rows(any_database_url, "SELECT version_num, to_regclass('tries') FROM small_version") == [("r1", None)]
    with pooled(any_database_url) as url:
        assert upgrade_to_head(small.environment, url, ddl_url=any_database_url).after.revision == "r2"


def test_the_peer_that_holds_the_lock_is_named_when_the_budget_is_spent(
    small: SmallEnvironment, database_url: str
) -> None:
    with psycopg.connect(database_url, application_name="the first") as holder:
        lock = MigrationLock(holder, small.environment)
        assert lock.try_take()

        with pytest.raises(TemporaryError, match=r"not done within 0\.3 s: server process \d+ \(the first, .* since 2"):
            upgrade_to_head(small.environment, database_url, budgets=Budgets(peer_seconds=0.3))
