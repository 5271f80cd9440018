"""Events whose day cannot be made: set aside with what to do, while their neighbours are rows."""

from datetime import datetime, timedelta

import pytest
from psycopg import sql

from logs_db.partitions import ensure_days
from logs_db.retention_plan import Retention
from migrator.partitioning import midnight
from tests.fixtures.logs import system_event
from tests.fixtures.retention import ago
from tests.fixtures.written import Writing, entry, letters, rows
from worker.entry import Entry
from worker.maintenance import Maintenance
from worker.patience import Patience
from worker.pulse import Pulse
from worker.write import Writer


@pytest.fixture
def new_writer(event_queue, logs_database_url, stop):
    """A function that makes a worker's writer, given for how many days dead letters are kept."""
    writers = []

    def make(dead_letter_days: int = 30) -> Writer:
        maintenance = Maintenance(
            event_queue, logs_database_url, dead_letter_days, 1 << 30, Retention(), Pulse("w", "h", 1), stop
        )
        writers.append(Writer(logs_database_url, Patience("waiting_for_postgres", stop), maintenance.make_days, "test"))
        return writers[-1]

    yield make
    stop.set()
    for each in writers:
        each.close()


def noon(days: int) -> datetime:
    return midnight(ago(days)) + timedelta(hours=12)


def accepted(days: int) -> Entry:
    """An entry that was accepted so many days ago, as the replay of a dead letter is."""
    fields = entry(system_event(created_at=noon(days))).fields
    return Entry(b"%d-0" % (noon(days).timestamp() * 1000), fields, is_redelivered=True)


def details(connection) -> list[str]:
    return [detail for (detail,) in connection.execute("SELECT detail FROM dead_letters")]


def test_a_day_whose_name_a_detached_table_has_costs_its_own_events_the_row_and_no_others(
    new_writer, logs_connection, caplog
):
    (name,) = ensure_days(logs_connection, "system_logs", [ago(20)])
    logs_connection.execute(sql.SQL("ALTER TABLE system_logs DETACH PARTITION {}").format(sql.Identifier(name)))
    events = [system_event(created_at=noon(days)) for days in (21, 20, 20, 19, 0)]

    assert Writing(new_writer(), [entry(*events), entry(events[1])]).finished(10)

    assert (rows(logs_connection), letters(logs_connection)) == (3, {"refused": 2})
    assert all(f"public.{name} cannot be made" in detail for detail in details(logs_connection))
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (warning.event, warning.table) == ("day_impossible", "system_logs")
    assert "Rename or drop that one" in warning.reason
    assert "dead-letters replay" in warning.message


def test_a_day_of_which_another_partition_covers_a_part_holds_up_nobody(new_writer, logs_connection):
    logs_connection.execute(
        sql.SQL("CREATE TABLE mornings PARTITION OF system_logs FOR VALUES FROM ({}) TO ({})").format(
            noon(20) - timedelta(hours=6), noon(20) - timedelta(hours=1)
        )
    )

    assert Writing(new_writer(), [entry(system_event(created_at=noon(20)), system_event())]).finished(10)

    assert (rows(logs_connection), letters(logs_connection)) == (1, {"refused": 1})


@pytest.mark.parametrize(("dead_letter_days", "outcome"), [(30, (1, {"refused": 1})), (365, (2, {}))])
def test_what_comes_back_after_months_is_a_row_as_long_as_dead_letters_are_kept_and_never_waits(
    new_writer, logs_connection, dead_letter_days, outcome
):
    assert Writing(new_writer(dead_letter_days), [accepted(200), entry(system_event())]).finished(10)

    assert (rows(logs_connection), letters(logs_connection)) == outcome
