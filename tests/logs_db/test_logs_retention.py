"""Retention: what is past it goes, whole days at a time, stopping nobody, and nothing else ever does."""

import json
import threading
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from logs_db import detachment, partitions, retention, retention_states
from logs_db.partitions import ensure_days
from logs_db.retention import NotArchivedError, RetentionReport
from logs_db.retention_plan import Fate, Retention
from migrator.partitioning import midnight
from tests.fixtures.retention import ago, exists, fill_day, know_since, names, today

THIRTY = Retention(system_logs=30)
MAINTENANCE_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('headhunter logs maintenance', 0))"
RETENTION_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('headhunter logs retention', 0))"


@pytest.fixture
def connection(retained):
    know_since(retained, 100)
    return retained


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(detachment, "DETACH_SECONDS", 0.2)


def state(connection, table: str = "system_logs") -> retention_states.TableState:
    return retention_states.read_states(connection)[table]


def dropped(connection) -> list[tuple]:
    return connection.execute(
        "SELECT partition_name, since, until, size_bytes > 0, archive FROM dropped_partitions ORDER BY id"
    ).fetchall()


def test_days_past_retention_are_dropped_accounted_for_and_never_made_again(connection):
    old = [fill_day(connection, ago(days)) for days in (33, 31)]
    kept = fill_day(connection, ago(30))

    report = retention.run(connection, THIRTY)

    assert report.dropped == tuple(old)
    assert report.freed_bytes > 0
    assert kept in names(connection)
    assert not any(exists(connection, name) for name in old)
    assert dropped(connection) == [
        (name, midnight(ago(days)), midnight(ago(days - 1)), True, None)
        for name, days in zip(old, (33, 31), strict=True)
    ]
    assert state(connection).kept_since == midnight(ago(30))
    assert ensure_days(connection, "system_logs", [ago(32), ago(31), ago(29)]) == (f"system_logs_{ago(29):%Y_%m_%d}",)
    # Older than any that is made on demand, which would be a wrong clock's, but for this it is too late anyway.
    assert ensure_days(connection, "system_logs", [ago(500)]) == ()
    assert retention.run(connection, THIRTY) == RetentionReport()


def test_tables_without_a_number_of_days_keep_all(connection):
    old = fill_day(connection, ago(400))

    assert retention.run(connection, Retention(llm_logs=1)).dropped == ()
    assert old in names(connection)


def test_what_was_there_before_retention_waits_until_somebody_agrees(retained):
    old, newer = fill_day(retained, ago(40)), fill_day(retained, ago(31))
    retention.first_look(retained)

    assert retention.run(retained, THIRTY) == RetentionReport()
    assert state(retained).consented_until is None

    retention.confirm(retained, "system_logs", "ada")
    assert retention.run(retained, THIRTY).dropped == (old, newer)
    assert state(retained).consented_by == "ada"


def test_an_empty_table_has_nothing_that_anybody_must_agree_to(retained):
    retention.first_look(retained)
    fill_day(retained, today())
    retention.first_look(retained)

    assert state(retained).consented_until == midnight(today() + timedelta(days=1))


def test_a_reader_that_is_there_for_long_is_waited_for_and_stops_no_writer(connection, retained_url, impatient):
    old = fill_day(connection, ago(31))
    fill_day(connection, ago(30))
    with psycopg.connect(retained_url) as reader:
        reader.execute("SELECT count(*) FROM system_logs").fetchone()

        report = retention.run(connection, THIRTY)
        with psycopg.connect(retained_url) as writer:
            writer.execute("SET lock_timeout = '1s'")
            writer.execute("INSERT INTO system_logs (level, component, message) VALUES ('INFO', 'c', 'm')")
            # What is being detached is hidden from new statements at once.
            assert writer.execute("SELECT count(*) FROM system_logs").fetchone() == (4,)
        again = retention.run(connection, THIRTY)

    assert (report.dropped, again.dropped) == ((), ())
    assert "once the transactions end" in report.obstacles[0]
    assert exists(connection, old)
    after = retention.run(connection, THIRTY)
    assert (after.finalized, after.dropped) == ((old,), (old,))


def test_a_pass_killed_after_any_step_is_completed_by_the_next(connection):
    marked = fill_day(connection, ago(35)), ago(35)
    detached = fill_day(connection, ago(34)), ago(34)
    for name, day in (marked, detached):
        partition = next(each for each in retention.list_partitions(connection, "system_logs") if each.name == name)
        last = detachment.mark(connection, "system_logs", partition, midnight(day + timedelta(days=1)))
    detachment.detach(connection, last)

    report = retention.run(connection, THIRTY)

    assert set(report.dropped) == {marked[0], detached[0]}
    assert len(dropped(connection)) == 2


def test_a_detachment_that_was_cut_short_is_finalised_even_where_all_is_kept(connection, retained_url, impatient):
    old = fill_day(connection, ago(31))
    with psycopg.connect(retained_url) as reader:
        reader.execute("SELECT count(*) FROM system_logs").fetchone()
        retention.run(connection, THIRTY)

    assert retention.run(connection, Retention()).finalized == (old,)


def test_a_partition_that_somebody_detaches_by_hand_is_theirs_though_a_killed_pass_had_marked_it(connection):
    name = fill_day(connection, ago(20))
    partition = next(each for each in retention.list_partitions(connection, "system_logs") if each.name == name)
    detachment.mark(connection, "system_logs", partition, midnight(ago(19)))
    retention.run(connection, THIRTY)
    connection.execute(f"ALTER TABLE system_logs DETACH PARTITION {name}")

    retention.run(connection, THIRTY)

    assert exists(connection, name)


def test_a_table_that_only_looks_like_one_of_retentions_is_left_alone(connection):
    fill_day(connection, ago(31))
    look_alike = f"system_logs_{ago(50):%Y_%m_%d}"
    connection.execute(f"CREATE TABLE {look_alike} (LIKE system_logs INCLUDING ALL)")
    connection.execute("CREATE TABLE notes ()")
    not_written_off = json.dumps({"table": "system_logs", "since": None, "until": midnight(ago(1)).isoformat()})
    connection.execute(f"COMMENT ON TABLE notes IS '{detachment.MARK}{not_written_off}'")

    retention.run(connection, THIRTY)
    retention.run(connection, THIRTY)

    assert exists(connection, look_alike)
    assert exists(connection, "notes")


def test_what_cannot_be_archived_is_kept_and_tried_again_and_holds_up_what_comes_after_it(connection):
    first, second = fill_day(connection, ago(33)), fill_day(connection, ago(32))
    asked = []

    def full(table, detached):
        asked.append((table, detached.name))
        raise NotArchivedError("the folder is full")

    for _ in range(2):
        report = retention.run(connection, THIRTY, before_drop=full)
        assert (report.dropped, asked.pop()) == ((), ("system_logs", first))
        assert report.obstacles == (f"{first} is detached and kept, because it is in no archive: the folder is full",)
    assert second in names(connection)

    report = retention.run(connection, THIRTY, before_drop=lambda _, detached: f"s3://logs/{detached.name}")
    assert report.dropped == (first, second)
    assert [row[4] for row in dropped(connection)] == [f"s3://logs/{first}", f"s3://logs/{second}"]


def test_an_archive_stands_for_consent_and_without_one_the_detached_day_stays(retained):
    old = fill_day(retained, ago(40))
    retention.first_look(retained)

    kept = retention.run(retained, THIRTY, before_drop=lambda *_: None)
    assert (kept.dropped, exists(retained, old)) == ((), True)
    assert "retention confirm" in kept.obstacles[0]

    assert retention.run(retained, THIRTY, before_drop=lambda *_: "s3://logs/it").dropped == (old,)
    assert state(retained).consented_by == "the archive s3://logs/it"


def test_while_a_peer_is_at_it_a_pass_is_left_to_it(connection, retained_url):
    fill_day(connection, ago(31))
    with psycopg.connect(retained_url) as peer:
        peer.execute(RETENTION_LOCK)
        assert retention.run(connection, THIRTY) == RetentionReport(skipped=True)

    assert len(retention.run(connection, THIRTY).dropped) == 1


def test_a_database_whose_clock_is_days_off_loses_nothing(connection, monkeypatch):
    old = fill_day(connection, ago(31))
    monkeypatch.setattr(retention, "server_time", lambda _: datetime.now(UTC) + timedelta(days=300))

    report = retention.run(connection, THIRTY)

    assert old in names(connection)
    assert "clock" in report.obstacles[0]


def test_no_day_goes_an_hour_early_where_the_sessions_zone_changed_to_summer_time(connection):
    know_since(connection, 3650)
    name = fill_day(connection, date(2026, 3, 28))
    connection.execute("SET TimeZone = 'Europe/Berlin'")
    due = midnight(date(2026, 3, 30))

    plans = [
        retention.read_plan(connection, Retention(system_logs=1), now=due - timedelta(minutes=minutes))
        for minutes in (1, 0)
    ]

    planned = [plan[0].partitions[0] for plan in plans]
    assert [(each.partition.name, each.goes_at) for each in planned] == [(name, due), (name, due)]
    assert [each.fate for each in planned] == [Fate.KEPT, Fate.DROPPED]


def test_told_to_stop_a_pass_begins_nothing_new(connection):
    old = fill_day(connection, ago(31))
    stop = threading.Event()
    stop.set()

    assert retention.run(connection, THIRTY, stop=stop).dropped == ()
    assert old in names(connection)


def test_the_plan_says_the_same_and_changes_nothing(connection):
    old = fill_day(connection, ago(31))

    plan = retention.read_plan(connection, THIRTY)

    system_logs = plan[0]
    assert (system_logs.table, system_logs.days) == ("system_logs", 30)
    assert [each.partition.name for each in system_logs.partitions if each.fate is Fate.DROPPED] == [old]
    assert old in names(connection)


def test_a_day_that_is_dropped_while_somebody_is_about_to_make_it_is_not_made(connection, retained_url, monkeypatch):
    has_looked, made = threading.Event(), []

    def read_and_tell(*arguments):
        kept_since = retention_states.read_kept_since(*arguments)
        has_looked.set()
        return kept_since

    def make() -> None:
        with psycopg.connect(retained_url, autocommit=True) as own:
            made.extend(ensure_days(own, "system_logs", [ago(31)]))

    monkeypatch.setattr(partitions, "read_kept_since", read_and_tell)
    with psycopg.connect(retained_url) as peer:
        peer.execute(MAINTENANCE_LOCK)
        maker = threading.Thread(target=make)
        maker.start()
        assert has_looked.wait(10)
        retention_states.keep_since(peer, "system_logs", midnight(ago(30)))
    maker.join()

    assert made == []
    assert f"system_logs_{ago(31):%Y_%m_%d}" not in names(connection)
