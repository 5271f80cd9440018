import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from msgspec.structs import asdict, replace

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.written import again, entry, letters, rows
from worker.entry import Entry
from worker.patience import Patience, StoppedError
from worker.tables import PAYLOAD_COLUMNS
from worker.write import SchemaMovedError, Writer

CALLS = "llm_logs LEFT JOIN llm_payloads AS payload USING (id, created_at)"


def full_system_event() -> SystemLogEvent:
    return system_event(
        level="ERROR",
        error_type="E",
        error_message="e",
        stack_trace="s",
        user_id=uuid7(),
        company_id=uuid7(),
        request_id="r",
        extra_data='{"a": [1, 2.5]}',
        trace_id="t" * 32,
        span_id="s" * 16,
        service="svc",
        host="h",
    )


def full_llm_event() -> LlmLogEvent:
    return LlmLogEvent(
        id=uuid7(),
        created_at=datetime.now(UTC),
        provider="p",
        model="m",
        operation="o",
        prompt="p" * 2000,
        response="é",
        prompt_tokens=1,
        completion_tokens=2,
        total_tokens=3,
        cost_usd=Decimal("0.000000123456789"),
        latency_ms=4,
        status="success",
        extra_data="{}",
        session_id="se",
        response_model="rm",
        cached_prompt_tokens=5,
        cache_write_tokens=6,
        reasoning_tokens=7,
        time_to_first_token_ms=8,
        finish_reason="stop",
        streamed=True,
    )


def test_every_field_of_both_tables_arrives_as_it_was_sent(writer, logs_connection):
    system, llm = full_system_event(), full_llm_event()

    written = writer.write([entry(system, llm)])

    assert (written.rows, written.dead_letters) == (2, 0)
    logs_connection.execute("SET TimeZone = 'UTC'")
    for event, table in ((system, "system_logs"), (llm, CALLS)):
        names = list(asdict(event))
        extra = names.index("extra_data")
        columns = [f"payload.{name}" if name in PAYLOAD_COLUMNS else name for name in names]
        row = logs_connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchone()
        expected = list(asdict(event).values())
        assert [*row[:extra], *row[extra + 1 :]] == [*expected[:extra], *expected[extra + 1 :]]


def test_a_redelivered_entry_changes_nothing(writer, logs_connection):
    delivered = entry(system_event(), system_event())
    writer.write([delivered])

    written = writer.write([again(delivered)])

    assert (written.rows, written.duplicates, written.dead_letters) == (0, 0, 0)
    assert rows(logs_connection) == 2


def test_a_second_delivery_that_nobody_announced_changes_nothing_either(writer, logs_connection):
    delivered = entry(system_event(), system_event())
    writer.write([delivered])

    written = writer.write([delivered, entry(system_event())])

    assert (written.rows, written.duplicates) == (1, 0)
    assert rows(logs_connection) == 3


def test_the_same_key_with_another_body_becomes_a_dead_letter_and_the_first_one_stands(writer, logs_connection):
    first = system_event(message="first")
    writer.write([entry(first)])

    written = writer.write([entry(replace(first, message="second"), system_event())])

    assert (written.rows, written.dead_letters, written.duplicates) == (1, 1, 0)
    assert letters(logs_connection) == {"conflict": 1}
    message = logs_connection.execute("SELECT message FROM system_logs WHERE id = %s", (first.id,)).fetchone()
    assert message == ("first",)


def test_of_two_bodies_with_one_key_in_one_batch_the_first_stands(writer, logs_connection):
    first = system_event(message="first")

    writer.write([entry(first, replace(first, message="second"), first)])

    assert logs_connection.execute("SELECT message FROM system_logs").fetchall() == [("first",)]
    assert letters(logs_connection) == {"conflict": 1}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"message": "a\x00b"}, "a\ufffdb"),
        ({"extra_data": '{"k": "a\\u0000b"}'}, None),
        ({"extra_data": "{broken"}, None),
    ],
)
def test_what_only_postgresql_refuses_is_mended_or_dead_and_its_neighbours_are_rows(
    writer, logs_connection, change, kept
):
    bad, good = system_event(**change), system_event(message="good")

    writer.write([entry(bad, good)])

    messages = {message for (message,) in logs_connection.execute("SELECT message FROM system_logs")}
    assert "good" in messages
    assert len(messages) + sum(letters(logs_connection).values()) == 2
    assert kept is None or kept in messages


def test_an_event_that_postgresql_refuses_for_a_reason_of_its_own_costs_no_other(writer, logs_connection):
    logs_connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_no_evil CHECK (message <> 'evil')")
    events = [system_event(message="evil" if number == 617 else "good") for number in range(1000)]

    written = writer.write([entry(*events)])

    assert (written.rows, written.dead_letters) == (999, 1)
    assert letters(logs_connection) == {"refused": 1}


def test_a_day_without_a_partition_is_made_on_demand(writer, logs_connection):
    past = system_event(created_at=datetime.now(UTC) - timedelta(days=20))

    written = writer.write([entry(past, system_event())])

    assert written.rows == 2


def test_a_dead_letter_delivered_again_changes_nothing(writer, logs_connection):
    bad = entry(system_event(created_at=datetime.now(UTC) - timedelta(days=60)))
    writer.write([bad])

    writer.write([again(bad)])

    assert logs_connection.execute("SELECT reason, seen_count FROM dead_letters").fetchall() == [
        ("timestamp_out_of_range", 1)
    ]


def test_a_connection_that_breaks_is_made_again_and_nothing_is_doubled(writer, logs_connection, postgres):
    first = entry(system_event())
    writer.write([first])
    with psycopg.connect(postgres.superuser_url, autocommit=True) as superuser:
        superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")

    written = writer.write([first, entry(system_event())])

    assert (written.rows, written.duplicates) == (1, 0)


def test_a_table_that_is_gone_stops_the_writer_and_condemns_nothing(writer, logs_connection):
    logs_connection.execute("ALTER TABLE system_logs RENAME TO elsewhere")

    with pytest.raises(SchemaMovedError):
        writer.write([entry(system_event())])

    assert letters(logs_connection) == {}


def test_a_database_that_is_away_is_waited_for_until_the_worker_is_stopped(stop):
    patience = Patience("waiting_for_postgres", stop)
    writer = Writer("postgresql://nobody@127.0.0.1:1/none", patience, lambda *_: None, "test")
    outcome = []

    def write() -> None:
        try:
            writer.write([entry(system_event())])
        except StoppedError:
            outcome.append("stopped")

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: patience.waiting_for)
    stop.set()
    thread.join(5)

    assert outcome == ["stopped"]


@pytest.mark.parametrize(
    "hostile",
    [
        {b"n": b"1", b"l": b"5"},
        {b"n": b"9" * 12},
        {b"n": b"9" * 5000},
        {b"g": b"x" * 100},
        {b"g": b"a\x00b"},
    ],
    ids=["more LLM logs than events", "a count beyond int4", "a count of 5,000 digits", "a long generation", "NUL"],
)
def test_an_entry_that_no_script_made_becomes_a_dead_letter_and_stops_nobody(writer, logs_connection, hostile):
    foreign = Entry(b"1790000000000-7", {b"v": b"1", b"n": b"1", b"z": b"garbage"} | hostile)

    written = writer.write([foreign, entry(system_event())])

    assert written.rows == 1
    assert letters(logs_connection) == {"damaged_frame": 1}
