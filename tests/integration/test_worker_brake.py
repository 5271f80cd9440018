"""A database that refuses everything makes no dead letters of the queue; one that refuses odd events loses no other."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest

from tests.fixtures.entries import LLM, pushed
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.written import Writing, entry, letters, rows
from worker.brake import MOST_REFUSED_ROWS, Brake
from worker.entry import Entry
from worker.tables import TABLES

RAISES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON system_logs FOR EACH ROW EXECUTE FUNCTION refuse()
"""

EVENTS_OF_A_BATCH = 20


def braked(writer) -> bool:
    return any(brake.patience.waiting_for for brake in writer._brakes.values())


def change(connection, statement: str) -> None:
    """As an operator does it: again where the worker stood in the way."""
    with suppress(psycopg.errors.DeadlockDetected):
        connection.execute(statement)
        return
    change(connection, statement)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        (
            "ALTER TABLE system_logs ADD CONSTRAINT ck_none CHECK (false)",
            "ALTER TABLE system_logs DROP CONSTRAINT ck_none",
        ),
        (RAISES, "DROP TRIGGER refuse ON system_logs"),
        (
            "ALTER TABLE system_logs ALTER COLUMN component TYPE varchar(3)",
            "ALTER TABLE system_logs ALTER COLUMN component TYPE varchar(100)",
        ),
    ],
    ids=["a CHECK that nothing passes", "a trigger that raises", "a column made too short"],
)
def test_a_database_that_refuses_everything_is_waited_out(writer, logs_connection, caplog, broken, mended):
    logs_connection.execute(broken)
    writing = Writing(
        writer, [entry(*(system_event(component="long") for _ in range(EVENTS_OF_A_BATCH))) for _ in range(12)]
    )
    wait_until(lambda: braked(writer))
    wait_until(lambda: writer._brakes[TABLES[0]].patience._pause_seconds > 0.15)

    condemned_meanwhile = letters(logs_connection)["refused"]
    change(logs_connection, mended)

    assert writing.finished()
    assert not braked(writer)
    assert condemned_meanwhile <= MOST_REFUSED_ROWS
    assert "outage_begun" in [record.event for record in caplog.records]
    condemned = letters(logs_connection).total()
    assert rows(logs_connection) + condemned == 240
    # A row that was refused just before the mending is condemned where the harmless rows passed just after it.
    assert condemned <= condemned_meanwhile + EVENTS_OF_A_BATCH


def test_one_batch_that_is_refused_whole_makes_no_dead_letter(writer, logs_connection):
    logs_connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_none CHECK (false)")
    writing = Writing(writer, [entry(*(system_event() for _ in range(2000)))])
    wait_until(lambda: braked(writer))

    assert letters(logs_connection) == {}
    change(logs_connection, "ALTER TABLE system_logs DROP CONSTRAINT ck_none")
    assert writing.finished()
    assert (rows(logs_connection), letters(logs_connection)) == (2000, {})


def test_a_flood_of_odd_events_is_no_fault_of_the_database(writer, logs_connection):
    logs_connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_no_evil CHECK (message <> 'evil')")
    odd = [entry(*(system_event(message="evil") for _ in range(30)), system_event()) for _ in range(5)]

    assert Writing(writer, odd).finished()
    assert (rows(logs_connection), letters(logs_connection)) == (5, {"refused": 150})


def test_one_table_that_refuses_does_not_hold_up_the_other(writer, logs_connection, stop):
    logs_connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_none CHECK (false)")
    writing = Writing(writer, [entry(*(system_event() for _ in range(200)))])
    wait_until(lambda: braked(writer))
    other = type(writer)(writer._url, writer._patience, writer._make_days, "other", writer._brakes)

    written = other.write([llm_entry()])
    other.close()

    assert written.rows == 1
    assert braked(writer)
    stop.set()
    assert writing.finished()


def llm_entry() -> Entry:
    timeless = pushed(json.dumps(LLM).encode())
    return Entry(b"%d-0" % (datetime.now(UTC).timestamp() * 1000), timeless.fields)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_sound_database_takes_the_harmless_rows_and_keeps_none(logs_connection, stop, table):
    brake = Brake(table, stop)

    for _ in range(3 * MOST_REFUSED_ROWS):
        brake.refused(logs_connection, datetime.now(UTC))

    assert rows(logs_connection, table.name) == 0
