"""Partitions: made ahead and on demand, by one worker at a time, stopping nobody, and never for a wrong clock."""

import logging
import threading
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from logs_db.dead_letters import read_one, read_page
from logs_db.partitions import (
    PARTITIONED_TABLES,
    MaintenanceBusyError,
    MaintenanceReport,
    covered_until,
    ensure_days,
    list_partitions,
    maintain,
)
from migrator.ops.conversion_steps import ASIDE_COMMENT
from migrator.partitioning import midnight

DAY = timedelta(days=1)
INSERT = "INSERT INTO system_logs (level, component, message, created_at) VALUES ('INFO', 'c', 'm', %s)"
TRY_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('headhunter logs maintenance', 0))"
ASIDE = f"""
CREATE TABLE system_logs_misdated (LIKE system_logs, PRIMARY KEY (created_at, id));
COMMENT ON TABLE system_logs_misdated IS '{ASIDE_COMMENT}';
ALTER TABLE system_logs_misdated DROP COLUMN trace_id, DROP COLUMN span_id, DROP COLUMN service, DROP COLUMN host
"""
ASIDE_ROW = """
INSERT INTO system_logs_misdated (id, created_at, level, component, message)
VALUES (gen_random_uuid(), %s, 'INFO', 'c', 'm')
"""


@pytest.fixture
def connection(logs_connection):
    """A connection to a database whose partitions are made ahead, as after a worker's first pass."""
    maintain(logs_connection)
    return logs_connection


@pytest.fixture
def on_each_version(any_logs_database_url):
    """A connection to each version of PostgreSQL in turn, for what depends on its catalog."""
    with psycopg.connect(any_logs_database_url, autocommit=True) as opened:
        maintain(opened)
        yield opened


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def names(connection, table: str = "system_logs") -> list[str]:
    return [partition.name for partition in list_partitions(connection, table)]


def test_a_pass_makes_the_days_that_are_missing_and_only_those(on_each_version, now):
    on_each_version.execute(f"DROP TABLE system_logs_{now + 3 * DAY:%Y_%m_%d}")
    before = set(names(on_each_version))

    report = maintain(on_each_version, days_ahead=8)

    assert set(report.created) == {
        f"system_logs_{now + 3 * DAY:%Y_%m_%d}",
        f"system_logs_{now + 8 * DAY:%Y_%m_%d}",
        f"llm_logs_{now + 8 * DAY:%Y_%m_%d}",
        f"llm_payloads_{now + 8 * DAY:%Y_%m_%d}",
    }
    assert set(names(on_each_version)) - before == {name for name in report.created if name.startswith("system")}
    assert maintain(on_each_version) == MaintenanceReport()


def test_rows_that_cannot_be_settled_leave_no_table_without_its_days(connection, now):
    connection.execute("CREATE TABLE system_logs_misdated (no_such_row int)")

    with pytest.raises(psycopg.errors.UndefinedColumn):
        maintain(connection, days_ahead=8)

    assert names(connection, "llm_logs")[-1] == f"llm_logs_{now + 8 * DAY:%Y_%m_%d}"


def test_a_new_partition_is_like_its_neighbours(on_each_version, now):
    on_each_version.execute(f"ALTER TABLE system_logs_{now + 7 * DAY:%Y_%m_%d} SET (fillfactor = 80)")
    (created, *_) = maintain(on_each_version, days_ahead=8).created

    looks = """
        SELECT reloptions, (SELECT array_agg(d) FROM (SELECT substr(indexdef, strpos(indexdef, 'USING')) AS d
                            FROM pg_indexes WHERE tablename = relname ORDER BY 1) AS sorted),
               (SELECT count(*) FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid WHERE indrelid = c.oid)
        FROM pg_class c WHERE relname = %s"""
    neighbour = on_each_version.execute(looks, [f"system_logs_{now + 7 * DAY:%Y_%m_%d}"]).fetchone()
    assert on_each_version.execute(looks, [created]).fetchone() == neighbour
    assert neighbour[0] == ["fillfactor=80"]
    assert neighbour[2] == 7


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "UTC"])
def test_bounds_are_utc_days_whatever_the_sessions_zone(connection, now, zone):
    connection.execute(f"SET TimeZone = '{zone}'")

    maintain(connection, days_ahead=8)

    last = list_partitions(connection, "llm_logs")[-1]
    assert last.lower == midnight(now.date() + 8 * DAY)
    assert last.upper == last.lower + DAY
    assert covered_until(connection) == dict.fromkeys(PARTITIONED_TABLES, last.upper)


def test_while_a_peer_maintains_a_pass_is_skipped_and_not_waited_for(connection, logs_database_url):
    with psycopg.connect(logs_database_url) as peer:
        peer.execute(TRY_LOCK)

        assert maintain(connection, days_ahead=8) == MaintenanceReport(skipped=True)

    assert len(maintain(connection, days_ahead=8).created) == 3


def test_two_workers_at_once_make_each_day_once(logs_database_url, now):
    reports = []

    def work() -> None:
        with psycopg.connect(logs_database_url, autocommit=True) as own:
            reports.append(ensure_days(own, "system_logs", [now.date() - n * DAY for n in range(2, 12)]))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    made = [name for report in reports for name in report]
    assert len(reports) == 2
    assert len(made) == len(set(made)) == 10


def test_an_open_writer_and_an_open_reader_keep_no_partition_from_being_made(connection, logs_database_url, now):
    with psycopg.connect(logs_database_url) as writer, psycopg.connect(logs_database_url) as reader:
        writer.execute(INSERT, [now])
        reader.execute("SELECT count(*) FROM system_logs")

        assert len(maintain(connection, days_ahead=8).created) == 3

        writer.execute(INSERT, [now + 8 * DAY])


def test_a_missing_day_is_made_on_demand_and_takes_the_row(connection, now):
    long_ago = now - 20 * DAY
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(INSERT, [long_ago])

    assert ensure_days(connection, "system_logs", [long_ago.date()]) == (f"system_logs_{long_ago:%Y_%m_%d}",)

    connection.execute(INSERT, [long_ago])
    assert ensure_days(connection, "system_logs", [long_ago.date()]) == ()


@pytest.mark.parametrize("days", [-200, 9, 27_000])
def test_a_clock_far_off_makes_no_partition(connection, now, days):
    before = names(connection)

    with pytest.raises(ValueError, match="Set the clock that is wrong"):
        ensure_days(connection, "system_logs", [now.date() + days * DAY])

    assert names(connection) == before


def test_a_peer_that_is_at_it_is_waited_for_but_not_for_ever(connection, logs_database_url, now, monkeypatch):
    monkeypatch.setattr("logs_db.maintenance_lock.BUSY_SECONDS", 0.3)
    with psycopg.connect(logs_database_url) as peer:
        peer.execute(TRY_LOCK)

        with pytest.raises(MaintenanceBusyError) as caught:
            ensure_days(connection, "system_logs", [now.date() - 9 * DAY])

    assert caught.value.sqlstate == "55P03"


def test_a_name_that_another_table_has_is_said(connection, now):
    day = now.date() - 9 * DAY
    connection.execute(f"CREATE TABLE system_logs_{day:%Y_%m_%d} ()")

    with pytest.raises(psycopg.errors.DuplicateTable, match="Rename or drop that one"):
        ensure_days(connection, "system_logs", [day])


def test_a_connection_inside_transactions_is_refused(logs_database_url, now):
    with psycopg.connect(logs_database_url) as inside, pytest.raises(ValueError, match="autocommit"):
        ensure_days(inside, "system_logs", [now.date() - 9 * DAY])


def test_the_cover_ends_at_the_first_gap(connection, now):
    connection.execute(f"DROP TABLE system_logs_{now + 2 * DAY:%Y_%m_%d}; DROP TABLE llm_logs_{now:%Y_%m_%d}")

    assert covered_until(connection) == {
        "system_logs": midnight(now.date() + 2 * DAY),
        "llm_logs": None,
        "llm_payloads": midnight(now.date() + 8 * DAY),
    }


def test_before_the_conversion_there_is_nothing_to_maintain(any_database_url):
    with psycopg.connect(any_database_url, autocommit=True) as empty:
        assert maintain(empty) == MaintenanceReport()
        assert covered_until(empty) == dict.fromkeys(PARTITIONED_TABLES)
        assert list_partitions(empty, "system_logs") == []


def test_misdated_rows_go_back_where_there_is_a_partition_and_become_dead_letters_elsewhere(
    on_each_version, now, caplog
):
    on_each_version.execute(ASIDE)
    fits = [now + 3 * DAY, now + 7 * DAY, now]
    strange = ["infinity", "-infinity", "2100-01-01", now + 9 * DAY, now - 40 * DAY]
    for time in [*fits, *strange]:
        on_each_version.execute(ASIDE_ROW, [time])

    with caplog.at_level(logging.INFO):
        report = maintain(on_each_version)

    assert (report.put_back_rows, report.dead_lettered_rows) == (3, 5)
    assert {row[0] for row in on_each_version.execute("SELECT created_at FROM system_logs")} == set(fits)
    letters = read_page(on_each_version, limit=10)
    assert {letter.reason for letter in letters} == {"timestamp_out_of_range"}
    assert {(letter.source, letter.event_type, letter.entry_id) for letter in letters} == {
        ("legacy", "system_log", None)
    }
    assert min(letter.detail for letter in letters) == "its time was -infinity, for which there is no partition"
    raw = read_one(on_each_version, letters[0].id).raw
    assert b'"type": "system_log"' in raw
    assert on_each_version.execute("SELECT to_regclass('system_logs_misdated')").fetchone() == (None,)
    assert [record.event for record in caplog.records if record.name == "logs_db.partitions"] == [
        "partitions_maintained"
    ]


def test_more_misdated_rows_than_one_batch_all_arrive(connection, now):
    connection.execute(ASIDE)
    connection.execute(
        "INSERT INTO system_logs_misdated (id, created_at, level, component, message) "
        "SELECT gen_random_uuid(), CASE WHEN n <= 250 THEN now() ELSE 'infinity' END, 'INFO', 'c', 'm' "
        "FROM generate_series(1, 480) n"
    )

    report = maintain(connection)

    assert (report.put_back_rows, report.dead_lettered_rows) == (250, 230)
    assert len(read_page(connection, limit=1000)) == 230


def test_a_misdated_row_whose_key_is_taken_becomes_a_dead_letter_and_the_other_stays(connection, now):
    connection.execute(ASIDE)
    connection.execute(ASIDE_ROW, [now])
    connection.execute(
        "INSERT INTO system_logs (id, created_at, level, component, message) "
        "SELECT id, created_at, 'INFO', 'c', 'the first one' FROM system_logs_misdated"
    )

    maintain(connection)

    assert connection.execute("SELECT message FROM system_logs").fetchall() == [("the first one",)]
    assert [letter.reason for letter in read_page(connection, limit=10)] == ["conflict"]


def test_the_day_of_a_table_is_the_one_in_its_name(connection):
    for partition in list_partitions(connection, "system_logs"):
        day = date.fromisoformat(partition.name.removeprefix("system_logs_").replace("_", "-"))
        assert (partition.lower, partition.upper) == (midnight(day), midnight(day) + DAY)
