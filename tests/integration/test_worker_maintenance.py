"""Maintenance beside the lanes: nobody waits behind its long jobs, and it ends in time when told to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest

from log_events.system_log import SystemLogEvent
from logs_db import dead_letter_purge
from logs_db.retention_plan import Retention
from tests.fixtures.letters import letter, write
from tests.fixtures.logs import wait_until
from tests.fixtures.written import rows
from worker.maintenance import Maintenance
from worker.pulse import Pulse
from worker.store import connect, maintenance_connection

OLD = datetime.now(UTC) - timedelta(days=40)
BLOCKED = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'dead_letters'::regclass)"


@pytest.fixture
def maintenance(event_queue, logs_database_url, stop) -> Maintenance:
    return Maintenance(event_queue, logs_database_url, 30, 1 << 30, Retention(), Pulse("w", "h", 1), stop)


@contextmanager
def held_up(maintenance: Maintenance, connection: psycopg.Connection, url: str) -> Iterator[threading.Thread]:
    """A pass of *maintenance* that waits for a lock when it comes to the dead letters; in the end it gets it."""
    running = threading.Thread(target=maintenance.run)
    with psycopg.connect(url) as peer:
        peer.execute("LOCK TABLE dead_letters")
        running.start()
        wait_until(lambda: connection.execute(BLOCKED).fetchone()[0])
        yield running


def test_a_lane_that_needs_a_day_does_not_wait_behind_the_purge_of_dead_letters(
    maintenance, logs_connection, logs_database_url, stop
):
    day = (datetime.now(UTC) - timedelta(days=20)).date()
    making = threading.Thread(target=maintenance.make_days, args=(SystemLogEvent, {day}))
    with held_up(maintenance, logs_connection, logs_database_url) as running:
        making.start()
        making.join(10)
        was_made = not making.is_alive()
    stop.set()
    running.join()
    making.join()

    assert was_made


def test_told_to_stop_amid_a_purge_it_begins_no_further_batch(
    maintenance, logs_connection, logs_database_url, stop, monkeypatch
):
    monkeypatch.setattr(dead_letter_purge, "BATCH_ROWS", 1)
    write(logs_connection, *(letter(number, created_at=OLD) for number in range(5)))
    logs_connection.execute("UPDATE dead_letters SET last_seen_at = %s", [OLD])
    logs_connection.execute("INSERT INTO ledger_entries VALUES (1, 1, 'gone', 'system_log', 1, 0, 0)")
    with held_up(maintenance, logs_connection, logs_database_url) as running:
        stop.set()
    running.join()

    assert (rows(logs_connection, "dead_letters"), rows(logs_connection, "ledger_entries")) == (4, 1)


@pytest.mark.parametrize("connecting", [partial(connect, application_name="test"), maintenance_connection])
def test_a_connection_of_a_worker_is_in_utc_and_notices_a_server_that_is_gone(logs_database_url, connecting):
    zone = "options=-c%20TimeZone%3DEurope/Berlin"
    url = f"{logs_database_url}{'&' if '?' in logs_database_url else '?'}{zone}"
    with connecting(url) as connection:
        parameters = connection.info.get_parameters()

        assert connection.execute("SHOW TimeZone").fetchone() == ("UTC",)
        assert (parameters["keepalives_idle"], parameters["keepalives_count"]) == ("5", "4")
