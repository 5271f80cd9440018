"""Rollups say at any time what the rows say, however the rows came, and whoever folds or counts meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
from msgspec.structs import replace

from logs_db import rollup_recount, rollups
from logs_db.partitions import PARTITIONED_TABLES, ensure_days
from logs_db.rollup_recount import next_day, recount, recount_next_day
from tests.fixtures.api import copy_of
from tests.fixtures.logs import llm_event, system_event, wait_until
from tests.fixtures.rollups import DAY, LEGACY_CALLS, LEGACY_ROWS, MIDNIGHT, NOW, counted, left, many_events, wrong
from tests.fixtures.written import again, entry, letters, rows, writer_on
from worker.pulse import Pulse
from worker.rollup_keeper import RollupKeeper


@pytest.fixture(scope="module")
def template(schema_templates, postgres) -> Iterator[str]:
    """The name of a database with partitions for all days of these tests, to be copied."""
    for name in copy_of(schema_templates[0], postgres):
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            for table in PARTITIONED_TABLES:
                ensure_days(connection, table, [(NOW - days * DAY).date() for days in (1, 2, 3, 12)])
        yield name


@pytest.fixture
def logs_database_url(template, postgres) -> Iterator[str]:
    """The URL of a logs database for one test alone."""
    for name in copy_of(template, postgres):
        yield postgres.url(name)


@pytest.fixture
def connection(logs_connection):
    return logs_connection


@pytest.mark.parametrize("is_redelivered", [False, True], ids=["new", "doubtful"])
def test_sums_are_what_the_rows_come_to_before_and_after_folding(writer, connection, is_redelivered):
    events = many_events()
    writer.write([entry(*events[:23], redelivered=is_redelivered), entry(*events[23:], redelivered=is_redelivered)])

    assert wrong(connection) == []
    assert (counted(connection), counted(connection, rollups.LLM_LOGS)) == (30, 16)

    folded = left(connection)
    assert rollups.fold(connection) == folded > 0
    writer.write([entry(*many_events())])
    rollups.fold(connection)

    assert (wrong(connection), left(connection)) == ([], 0)
    assert (counted(connection), counted(connection, rollups.LLM_LATENCIES)) == (60, 24)


def test_what_comes_again_conflicts_or_is_dead_is_not_counted(writer, connection):
    delivered = entry(*many_events())
    known = system_event()
    writer.write([delivered, entry(known)])
    other_day = system_event(created_at=NOW - timedelta(days=60))

    writer.write([again(delivered), entry(known), entry(replace(known, message="other")), entry(other_day)])
    writer.write([entry(system_event(message="a\x00b"), llm_event(prompt="\x00"), system_event(extra_data="{broken"))])

    assert wrong(connection) == []
    assert letters(connection).total() == 3
    assert counted(connection) == rows(connection) == 32


def test_a_batch_that_fails_leaves_no_deltas(writer, connection):
    connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_no_evil CHECK (message <> 'evil')")

    writer.write([entry(*(system_event(message="evil" if n == 17 else "good") for n in range(40)))])

    assert (wrong(connection), counted(connection)) == ([], 39)


def test_writers_and_folders_at_once_wait_for_nobody_and_count_right(logs_database_url, connection, stop):
    faults = []

    def write() -> None:
        with writer_on(logs_database_url, threading.Event()) as own:
            for _ in range(25):
                own.write([entry(*many_events())])

    def fold() -> None:
        with psycopg.connect(logs_database_url, autocommit=True) as own:
            # Who waits for another's row fails: nobody has to.
            own.execute("SET lock_timeout = '50ms'")
            try:
                while not stop.is_set():
                    rollups.fold(own)
            except psycopg.Error as exc:
                faults.append(exc)

    writers, folders = ([threading.Thread(target=work) for _ in range(2)] for work in (write, fold))
    for thread in (*folders, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in folders:
        thread.join()

    assert faults == []
    assert (wrong(connection), counted(connection)) == ([], 2 * 25 * 30)


def test_a_writer_waits_neither_for_a_fold_nor_for_a_recount(writer, logs_database_url, connection):
    writer.write([entry(*many_events())])
    with psycopg.connect(logs_database_url) as peer, rollups.holding_lock(peer) as is_ours:
        assert is_ours
        peer.execute("DELETE FROM system_log_deltas; LOCK TABLE system_log_hours")
        with psycopg.connect(logs_database_url, autocommit=True) as own:
            own.execute("SET lock_timeout = '50ms'")
            assert rollups.fold(own) == 0
            assert recount(own, "system_logs", MIDNIGHT) == []

        assert writer.write([entry(*many_events())]).rows == 46
        peer.rollback()

    assert wrong(connection) == []


def test_days_that_nobody_counted_are_counted_oldest_first_and_once(writer, connection):
    for days in (12, 2, 3):
        connection.execute(LEGACY_ROWS, [MIDNIGHT - days * DAY])
    connection.execute(LEGACY_CALLS, [MIDNIGHT - 3 * DAY])
    writer.write([entry(system_event(created_at=MIDNIGHT - 3 * DAY), system_event(created_at=MIDNIGHT - 2 * DAY))])
    rollups.fold(connection)
    assert len(wrong(connection)) > 100

    passes = [
        [(day.table, day.day, day.events) for day in recount_next_day(connection, now=MIDNIGHT)] for _ in range(4)
    ]

    assert passes == [
        [("system_logs", MIDNIGHT - 12 * DAY, 100), ("llm_logs", MIDNIGHT - 3 * DAY, 100)],
        [("system_logs", MIDNIGHT - 3 * DAY, 101)],
        [("system_logs", MIDNIGHT - 2 * DAY, 101)],
        [],
    ]
    assert wrong(connection) == []


def test_a_worker_whose_clock_is_days_ahead_counts_no_day_that_is_not_over(connection, monkeypatch):
    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + 3 * DAY

    monkeypatch.setattr(rollup_recount, "datetime", Ahead)
    connection.execute(LEGACY_ROWS, [MIDNIGHT])

    assert recount_next_day(connection) == []


def test_deltas_that_are_there_are_in_a_count_and_later_ones_are_added(writer, connection):
    day = MIDNIGHT - 3 * DAY
    connection.execute(LEGACY_ROWS, [day])
    writer.write([entry(*(system_event(created_at=day + timedelta(hours=20)) for _ in range(10)))])

    assert [counted.events for counted in recount(connection, "system_logs", day)] == [110]
    writer.write([entry(system_event(created_at=day), system_event(created_at=day))])
    rollups.fold(connection)

    assert (wrong(connection), counted(connection)) == ([], 112)


def test_rows_that_come_amid_a_count_are_counted_once_and_nobody_waits(writer, connection, logs_database_url):
    day = MIDNIGHT - 3 * DAY
    connection.execute(LEGACY_ROWS, [day])
    writer.write([entry(system_event(created_at=day))])

    def count() -> None:
        with psycopg.connect(logs_database_url, autocommit=True) as own:
            recount(own, "system_logs", day)

    counting = threading.Thread(target=count)
    with psycopg.connect(logs_database_url) as peer:
        # The count has dropped the deltas that it saw when it comes to the minutes.
        peer.execute("LOCK TABLE system_log_minutes")
        counting.start()
        wait_until(lambda: waits_for_lock(connection, "system_log_minutes"))
        writer.write([entry(*(system_event(created_at=day) for _ in range(10)))])
    counting.join(20)

    assert connection.execute("SELECT events FROM rollup_days").fetchall() == [(101,)]
    assert (wrong(connection), counted(connection)) == ([], 111)


def test_a_day_that_retention_dropped_is_never_counted_again(writer, connection):
    day = MIDNIGHT - 3 * DAY
    writer.write([entry(system_event(created_at=day))])
    rollups.fold(connection)
    connection.execute("INSERT INTO retention_states (table_name, kept_since) VALUES ('system_logs', %s)", [day + DAY])
    connection.execute("DELETE FROM system_logs")

    assert next_day(connection, "system_logs", MIDNIGHT) is None
    assert recount(connection, "system_logs", day) == []
    assert (wrong(connection), counted(connection)) == ([], 1)


def test_a_worker_folds_and_counts_and_ends_at_once_amid_a_count(writer, connection, logs_database_url):
    connection.execute(LEGACY_ROWS, [MIDNIGHT - 12 * DAY])
    writer.write([entry(*many_events())])
    with keeping(logs_database_url):
        wait_until(lambda: left(connection) == 0 and rows(connection, "rollup_days") == 1)
    connection.execute(LEGACY_ROWS, [MIDNIGHT - 3 * DAY])
    with psycopg.connect(logs_database_url) as peer:
        peer.execute("LOCK TABLE system_logs")
        with keeping(logs_database_url):
            wait_until(lambda: waits_for_lock(connection, "system_logs"))

    assert rows(connection, "rollup_days") == 1


@contextmanager
def keeping(url: str) -> Iterator[None]:
    """A keeper at work, that ends in time and without a complaint when told to."""
    stop, pulse = threading.Event(), Pulse("name", "host", 1)
    keeper = threading.Thread(target=RollupKeeper(url, pulse, stop).run)
    keeper.start()
    yield
    stop.set()
    keeper.join(10)
    assert (keeper.is_alive(), pulse.troubles) == (False, {})


def waits_for_lock(connection, table: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass(%s))"
    return connection.execute(query, [table]).fetchone()[0]


def test_minutes_go_after_eight_days_and_hours_stay(writer, connection):
    writer.write([entry(system_event(created_at=NOW - 12 * DAY), system_event())])

    rollups.fold(connection)
    rollups.fold(connection)

    assert (rows(connection, "system_log_minutes"), rows(connection, "system_log_hours")) == (1, 2)


def test_a_sum_that_somebody_changed_is_found(writer, connection):
    writer.write([entry(*many_events())])
    rollups.fold(connection)
    connection.execute("UPDATE system_log_hours SET events = events + 1 WHERE level = 'ERROR'")
    connection.execute("DELETE FROM llm_log_minutes")

    found = {(difference.table, difference.sums) for difference in wrong(connection)}

    assert {table for table, _ in found} == {"system_log_hours", "llm_log_minutes"}
    assert ("llm_log_minutes", "[null, null, null, null, null, null, null, null, null, null, null]") in found
