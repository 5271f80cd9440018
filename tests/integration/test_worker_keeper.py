"""The worker's retention: at work beside the lanes, and a trouble that is told but stops nobody."""

import logging
import threading
from urllib.parse import urlsplit

import pytest
from psycopg import sql

from log_events.wire import encode_frame
from logs_db.retention_plan import Retention
from tests.fixtures.api import as_role
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.retention import ago, exists, fill_day, know_since
from worker import keeper
from worker.keeper import Keeper
from worker.pulse import Pulse

RIGHTS = """
GRANT USAGE ON SCHEMA public, migrator TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA migrator TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT TEMPORARY ON DATABASE {database} TO {role}
"""


@pytest.fixture
def writing_url(plain_role, retained, retained_url) -> str:
    """The URL of a role that may write rows and owns no table."""
    names = {"role": plain_role.partition(":")[0], "database": urlsplit(retained_url).path[1:]}
    retained.execute(sql.SQL(RIGHTS).format(**{name: sql.Identifier(value) for name, value in names.items()}))
    return as_role(retained_url, plain_role)


def run(url: str, pulse: Pulse, until) -> None:
    stop = threading.Event()
    own = Keeper(url, Retention(system_logs=30), pulse, stop)
    own.first_look()
    thread = threading.Thread(target=own.run)
    thread.start()
    try:
        wait_until(until)
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(name="w", host="h", pid=1)


def test_a_locked_table_does_not_keep_the_lanes_from_beginning(retained, retained_url, pulse, monkeypatch):
    monkeypatch.setattr(keeper, "FIRST_LOOK_LOCK_TIMEOUT", "10ms")
    retained.execute("DELETE FROM retention_states")
    with retained.transaction():
        retained.execute("LOCK TABLE system_logs")

        Keeper(retained_url, Retention(), pulse, threading.Event()).first_look()

    assert "lock timeout" in pulse.troubles["drop what is past its retention"]


def test_what_is_past_its_retention_goes_by_itself(retained, retained_url, pulse, caplog):
    know_since(retained, 100)
    old = fill_day(retained, ago(31))

    with caplog.at_level(logging.INFO):
        run(retained_url, pulse, lambda: any(record.msg.startswith("log rows past") for record in caplog.records))

    assert not exists(retained, old)
    assert pulse.heartbeat().troubles == {}


def test_a_role_without_the_rights_is_told_of_once_and_by_each_heartbeat(
    writing_url, retained, pulse, caplog, monkeypatch
):
    monkeypatch.setattr(keeper, "EVERY_SECONDS", 0.01)
    know_since(retained, 100)
    old = fill_day(retained, ago(31))
    passes = []
    monkeypatch.setattr(keeper.Complaint, "begins", _counted(keeper.Complaint.begins, passes))

    run(writing_url, pulse, lambda: len(passes) >= 3)

    (trouble,) = pulse.heartbeat().troubles.values()
    assert "LOGS_MIGRATION_DATABASE_URL" in trouble
    assert len([record for record in caplog.records if record.event == "maintenance_failed"]) == 1
    assert exists(retained, old)


def test_a_worker_whose_role_may_only_write_rows_writes_them_and_tells_what_it_cannot_do(
    writing_url, retained, start_worker, redis_url, event_queue
):
    know_since(retained, 100)
    fill_day(retained, ago(31))
    event_queue.admit(encode_frame([system_event()]), 1)

    start_worker(LOGS_DATABASE_URL=writing_url, REDIS_URL=redis_url, SYSTEM_LOG_RETENTION_DAYS="30")

    wait_until(lambda: any(seen.report.troubles and seen.report.rows_written for seen in event_queue.heartbeats()))


def test_what_goes_wrong_with_retention_in_any_way_is_told_and_ends_no_worker(retained_url, pulse, monkeypatch):
    monkeypatch.setattr(keeper, "hook", lambda *_: int("no number"))

    run(retained_url, pulse, lambda: pulse.troubles)

    assert pulse.troubles == {"drop what is past its retention": "ValueError"}


def _counted(begins, passes):
    def counted(self, reason):
        passes.append(reason)
        begins(self, reason)

    return counted
