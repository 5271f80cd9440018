"""Events that come too late for their day: never waited on, never lost, and no dropped day is made again for them."""

from datetime import timedelta

import psycopg
import pytest

from logs_db import detachment, retention
from logs_db.retention_plan import Retention
from migrator.partitioning import midnight
from tests.fixtures.logs import system_event
from tests.fixtures.retention import ago, fill_day, know_since, names
from tests.fixtures.written import again, entry, letters, rows

DROP = Retention(system_logs=10)


@pytest.fixture
def logs_database_url(retained_url) -> str:
    return retained_url


@pytest.fixture
def connection(retained):
    know_since(retained, 100)
    return retained


def late_event(days: int):
    return system_event(created_at=midnight(ago(days)) + timedelta(hours=1))


def test_an_event_whose_day_was_dropped_is_a_dead_letter_and_its_neighbours_are_rows(connection, writer):
    dropped = fill_day(connection, ago(11))
    retention.run(connection, DROP)
    delivered = entry(late_event(11), late_event(9), system_event())

    written = writer.write([delivered])

    assert (written.rows, written.dead_letters) == (2, 1)
    assert letters(connection) == {"expired": 1}
    assert dropped not in names(connection)
    assert rows(connection) == 2
    ((written_events, dead_events),) = connection.execute("SELECT written_events, dead_events FROM ledger_entries")
    assert (written_events, dead_events) == (2, 1)
    writer.write([again(delivered)])
    assert (rows(connection), letters(connection)) == (2, {"expired": 1})


def test_an_event_for_a_day_that_is_just_being_detached_is_not_waited_on(connection, writer, retained_url, monkeypatch):
    monkeypatch.setattr(detachment, "DETACH_SECONDS", 0.2)
    dropped = fill_day(connection, ago(11))
    with psycopg.connect(retained_url) as reader:
        reader.execute("SELECT count(*) FROM system_logs").fetchone()
        assert retention.run(connection, DROP).obstacles

        writer.write([entry(late_event(11), system_event())])

    assert letters(connection) == {"expired": 1}
    assert rows(connection) == 1
    assert retention.run(connection, DROP).dropped == (dropped,)


def test_events_of_a_day_that_nobody_has_dropped_yet_are_rows_however_late(connection, writer):
    fill_day(connection, ago(11))
    retention.run(connection, DROP)
    undropped = fill_day(connection, ago(20), rows=0)

    writer.write([entry(late_event(20))])

    assert rows(connection, undropped) == 1
