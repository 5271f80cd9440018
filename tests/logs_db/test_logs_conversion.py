"""The conversion to partitions: nobody stopped, no row lost, whenever it is killed and however late it goes on."""

import signal
import time
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from alembic import command
from psycopg import sql
from psycopg.rows import namedtuple_row

from logs_db.environment import ENVIRONMENT
from logs_db.partitions import list_partitions
from migrator.configuration import alembic_config
from migrator.errors import PermanentError
from migrator.fingerprint import differences, read_fingerprint, stored_fingerprint
from migrator.upgrade import upgrade_to_head
from tests.fixtures.logs import wait_until

LEGACY = "bc3638ffe20e"
DAY = timedelta(days=1)
ROWS_OF = "SELECT (SELECT count(*) FROM system_logs), (SELECT count(*) FROM llm_logs)"
INSERT = "INSERT INTO system_logs (level, component, message) VALUES ('INFO', 'c', 'm')"
INSERT_AT = "INSERT INTO system_logs (created_at, level, component, message) VALUES (%s, 'INFO', 'c', 'm')"
PROGRESS = """
SELECT c.relkind::text AS kind, x.indisvalid AS index_is_valid, k.convalidated AS bound_is_valid,
       to_regclass('system_logs_misdated') IS NOT NULL AS has_moved_rows
FROM pg_class c
LEFT JOIN pg_index x ON x.indexrelid = to_regclass('pk_system_logs_legacy')
LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.conname = 'system_logs_legacy_bound'
WHERE c.oid = 'system_logs'::regclass
"""
BOUND = "ALTER TABLE system_logs ADD CONSTRAINT system_logs_legacy_bound CHECK (created_at < {}::timestamptz) NOT VALID"


def fetch(url: str, statement: str):
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchone()


def execute(url: str, statement, parameters=None) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement, parameters)


def partitions(url: str):
    with psycopg.connect(url) as connection:
        return list_partitions(connection, "system_logs")


@contextmanager
def held(url: str, mode: str):
    """Hold a lock on system_logs as an open transaction without a snapshot does."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE system_logs IN {mode} MODE")
        yield


def at_head(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        found = read_fingerprint(connection, ENVIRONMENT)
    return differences(stored_fingerprint(ENVIRONMENT, ENVIRONMENT.head), found) == []


def test_an_empty_table_is_replaced_and_takes_rows_of_legacy_clients(legacy_url):
    upgrade_to_head(ENVIRONMENT, legacy_url)

    execute(legacy_url, INSERT)
    assert fetch(legacy_url, "SELECT tableoid::regclass::text FROM system_logs") == (
        f"system_logs_{datetime.now(UTC):%Y_%m_%d}",
    )
    assert fetch(legacy_url, "SELECT to_regclass('system_logs_legacy')") == (None,)


def test_a_filled_table_becomes_the_first_partition_and_the_days_after_it_are_there(filled_legacy_url):
    before = fetch(filled_legacy_url, ROWS_OF)
    upgrade_to_head(ENVIRONMENT, filled_legacy_url)

    legacy, *days = partitions(filled_legacy_url)
    today = datetime.now(UTC).date()
    assert (legacy.name, legacy.lower) == ("system_logs_legacy", None)
    assert legacy.upper.time() == datetime.min.time()
    assert 2 * DAY <= legacy.upper - datetime.now(UTC) + timedelta(minutes=5) <= 3 * DAY + timedelta(minutes=5)
    assert [part.lower for part in days] == [part.upper for part in [legacy, *days[:-1]]]
    assert days[-1].name == f"system_logs_{today + 7 * DAY:%Y_%m_%d}"
    assert fetch(filled_legacy_url, ROWS_OF) == before
    assert fetch(filled_legacy_url, "SELECT count(*) FROM pg_constraint WHERE conname ~ '_bound$'") == (0,)


def test_legacy_clients_notice_nothing(filled_legacy_url, legacy_client, start_upgrade):
    before = fetch(filled_legacy_url, ROWS_OF)
    command.stamp(alembic_config(ENVIRONMENT, url=filled_legacy_url), LEGACY)
    clients = [legacy_client(filled_legacy_url, f"client {n}") for n in range(2)]

    upgrade = start_upgrade(filled_legacy_url)
    _, log = upgrade.communicate(timeout=60)
    time.sleep(0.2)
    seen = [client.stop() for client in clients]

    assert upgrade.returncode == 0, log
    assert [each["errors"] for each in seen] == [[], []]
    assert sum(fetch(filled_legacy_url, ROWS_OF)) == sum(before) + sum(each["accepted"] for each in seen)
    assert max(each["longest_ms"] for each in seen) < 2000
    assert at_head(filled_legacy_url)


def test_killed_at_each_step_it_goes_on_from_what_the_catalog_shows(filled_legacy_url, legacy_client, start_upgrade):
    url, before = filled_legacy_url, fetch(filled_legacy_url, ROWS_OF)
    misdated_rows = 20_000
    execute(
        url,
        "INSERT INTO system_logs (created_at, level, component, message) SELECT '2100-01-01', 'INFO', 'c', 'm' "
        "FROM generate_series(1, %s)",
        [misdated_rows],
    )
    command.stamp(alembic_config(ENVIRONMENT, url=url), LEGACY)
    client = legacy_client(url, "client")

    def kill_once(is_time, *, behind: str | None = None) -> None:
        with (
            psycopg.connect(url, autocommit=True, row_factory=namedtuple_row) as watch,
            held(url, behind) if behind else nullcontext(),
        ):
            process = start_upgrade(url)
            wait_until(lambda: is_time(watch.execute(PROGRESS).fetchone()))
            process.kill()
        assert process.wait() == -signal.SIGKILL

    # A writer that stays open keeps the index build waiting, a reader keeps the exclusive lock from being had.
    kill_once(lambda now: now.index_is_valid is False, behind="ROW EXCLUSIVE")
    kill_once(lambda now: now.index_is_valid, behind="ACCESS SHARE")
    kill_once(lambda now: now.has_moved_rows)
    kill_once(lambda now: now.bound_is_valid or now.kind == "p")
    kill_once(lambda now: now.kind == "p")
    upgrade = start_upgrade(url)
    _, log = upgrade.communicate(timeout=60)
    seen = client.stop()

    assert upgrade.returncode == 0, log
    assert seen["errors"] == []
    assert fetch(url, "SELECT count(*) FROM system_logs_misdated") == (misdated_rows,)
    assert sum(fetch(url, ROWS_OF)) == sum(before) + seen["accepted"]


def test_a_swap_that_cannot_have_its_lock_is_undone_and_tried_again(filled_legacy_url, start_upgrade):
    command.stamp(alembic_config(ENVIRONMENT, url=filled_legacy_url), LEGACY)
    with held(filled_legacy_url, "ACCESS SHARE"):
        process = start_upgrade(filled_legacy_url)
        wait_until(lambda: fetch(filled_legacy_url, PROGRESS)[1])
        # Behind each try to lock the table an insert waits, but never for long.
        started = time.monotonic()
        for _ in range(20):
            execute(filled_legacy_url, INSERT)
        took_seconds = time.monotonic() - started
        assert process.poll() is None

    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert took_seconds < 5
    assert at_head(filled_legacy_url)


@pytest.mark.parametrize("hours_left", [6, -6], ids=["too near", "past"])
def test_a_run_that_comes_too_late_for_its_bound_takes_a_later_one(filled_legacy_url, hours_left):
    bound = datetime.now(UTC) + timedelta(hours=hours_left)
    execute(filled_legacy_url, sql.SQL(BOUND).format(sql.Literal(bound.isoformat())))
    if hours_left < 0:
        with pytest.raises(psycopg.errors.CheckViolation):
            execute(filled_legacy_url, INSERT)
    command.stamp(alembic_config(ENVIRONMENT, url=filled_legacy_url), LEGACY)

    command.upgrade(alembic_config(ENVIRONMENT, url=filled_legacy_url), "head")

    assert partitions(filled_legacy_url)[0].upper >= datetime.now(UTC) + 2 * DAY - timedelta(minutes=5)
    execute(filled_legacy_url, INSERT)
    assert fetch(filled_legacy_url, ROWS_OF) == (5001, 500)


def test_a_bound_that_is_far_enough_is_kept(filled_legacy_url):
    bound = datetime.combine(date.today() + 2 * DAY, datetime.min.time(), UTC)  # noqa: DTZ011 - the server's day is UTC
    execute(filled_legacy_url, sql.SQL(BOUND).format(sql.Literal(bound.isoformat())))
    command.stamp(alembic_config(ENVIRONMENT, url=filled_legacy_url), LEGACY)

    command.upgrade(alembic_config(ENVIRONMENT, url=filled_legacy_url), "head")

    assert partitions(filled_legacy_url)[0].upper == bound


def test_rows_of_clients_with_a_wrong_clock_are_moved_aside_and_hold_nothing_up(filled_legacy_url):
    times = ["infinity", "2100-01-01", datetime.now(UTC) + 5 * DAY, "-infinity", "1970-01-01"]
    for each in times:
        execute(filled_legacy_url, INSERT_AT, [each])

    upgrade_to_head(ENVIRONMENT, filled_legacy_url)

    assert fetch(filled_legacy_url, "SELECT count(*) FROM system_logs_misdated") == (3,)
    assert fetch(filled_legacy_url, ROWS_OF) == (5002, 500)


def test_a_table_of_misdated_rows_alone_is_replaced_and_they_are_kept(legacy_url):
    for each in ("infinity", "2100-01-01"):
        execute(legacy_url, INSERT_AT, [each])

    upgrade_to_head(ENVIRONMENT, legacy_url)

    assert fetch(legacy_url, "SELECT count(*) FROM system_logs_misdated") == (2,)
    assert at_head_but_for_the_side_table(legacy_url)


def test_the_way_down_brings_misdated_rows_back(filled_legacy_url):
    execute(filled_legacy_url, INSERT_AT, ["infinity"])
    config = alembic_config(ENVIRONMENT, url=filled_legacy_url, lose_data=True)
    command.stamp(config, LEGACY)
    command.upgrade(config, "head")

    command.downgrade(config, LEGACY)

    assert fetch(filled_legacy_url, ROWS_OF) == (5001, 500)
    assert fetch(filled_legacy_url, "SELECT to_regclass('system_logs_misdated')") == (None,)


def test_a_view_on_a_legacy_table_is_refused_by_name_and_nothing_is_touched(filled_legacy_url):
    execute(filled_legacy_url, "CREATE VIEW errors_of_today AS SELECT * FROM system_logs WHERE error_type IS NOT NULL")
    command.stamp(alembic_config(ENVIRONMENT, url=filled_legacy_url), LEGACY)

    with pytest.raises(PermanentError, match="view errors_of_today"):
        command.upgrade(alembic_config(ENVIRONMENT, url=filled_legacy_url), "head")

    assert fetch(filled_legacy_url, PROGRESS) == ("r", None, None, False)
    assert fetch(filled_legacy_url, "SELECT version_num FROM logs_alembic_version") == (LEGACY,)


def test_plans_that_a_legacy_client_has_prepared_go_on_working(filled_legacy_url):
    with psycopg.connect(filled_legacy_url, autocommit=True, prepare_threshold=0) as client:
        for _ in range(10):
            client.execute(INSERT)
        upgrade_to_head(ENVIRONMENT, filled_legacy_url)

        client.execute(INSERT)

    assert fetch(filled_legacy_url, ROWS_OF) == (5011, 500)


def at_head_but_for_the_side_table(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        found = read_fingerprint(connection, ENVIRONMENT)
    lines = differences(stored_fingerprint(ENVIRONMENT, ENVIRONMENT.head), found)
    return lines == ["unexpected: table public.system_logs_misdated"]
