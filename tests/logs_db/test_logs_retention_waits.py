"""Retention where a detached day waits: what the settings keep by now stays, and no table waits for another's."""

import psycopg
import pytest

from logs_db import maintenance_lock, retention
from logs_db.retention import NotArchivedError, RetentionReport
from logs_db.retention_plan import Retention
from tests.fixtures.retention import ago, exists, fill_day, know_since, names

THIRTY = Retention(system_logs=30)


@pytest.fixture
def connection(retained):
    know_since(retained, 100)
    return retained


@pytest.mark.parametrize("kept", [Retention(), Retention(system_logs=60)])
def test_a_detached_day_that_the_settings_now_keep_is_not_dropped_and_can_be_attached_again(connection, kept):
    name = fill_day(connection, ago(31))
    newer = fill_day(connection, ago(30))
    assert retention.run(connection, THIRTY, before_drop=_full).dropped == ()

    report = retention.run(connection, kept)

    assert (report.dropped, exists(connection, name)) == ((), True)
    [obstacle] = report.obstacles
    connection.execute(obstacle.partition("run: ")[2])
    assert {name, newer} <= set(names(connection))
    assert retention.run(connection, kept) == RetentionReport()


def test_a_table_that_somebody_locks_waits_and_the_others_have_their_turn(connection, retained_url, monkeypatch):
    monkeypatch.setattr(maintenance_lock, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(maintenance_lock, "_TRY_LOCK", maintenance_lock._TRY_LOCK.replace("'1s'", "'10ms'"))
    waiting = fill_day(connection, ago(32))
    retention.run(connection, THIRTY, before_drop=_full)
    calls = fill_day(connection, ago(31), table="llm_logs")
    with psycopg.connect(retained_url) as reader:
        reader.execute(f"SELECT count(*) FROM {waiting}")
        report = retention.run(connection, Retention(system_logs=30, llm_logs=30))

        assert report.dropped == (calls,)
        assert report.obstacles == (
            f"{waiting} is left as it is until the next pass: canceling statement due to lock timeout.",
        )
    assert retention.run(connection, THIRTY).dropped == (waiting,)


def _full(*_):
    raise NotArchivedError("the folder is full")
