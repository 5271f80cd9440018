"""Prompts and responses have a table of their own, and a call is judged by both tables together."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from log_events.llm_log import LlmLogEvent
from log_events.uuid7 import uuid7
from logs_db.payloads import Payload, read_payload
from tests.fixtures.api import copy_of
from tests.fixtures.logs import llm_event, system_event
from tests.fixtures.written import again, entry, letters, rows

LEGACY = """
INSERT INTO llm_logs (id, created_at, provider, model, status, prompt, response)
VALUES (%s, %s, 'p', 'm', 'success', %s, %s)
"""


@pytest.fixture
def logs_database_url(schema_templates, postgres) -> Iterator[str]:
    """The URL of a logs database for one test alone, its partitions made."""
    for name in copy_of(schema_templates[0], postgres):
        yield postgres.url(name)


@pytest.fixture
def connection(logs_connection):
    return logs_connection


def columns(connection, call: LlmLogEvent) -> tuple:
    """What ``llm_logs`` itself holds of the payload."""
    return connection.execute("SELECT prompt, response FROM llm_logs WHERE id = %s", [call.id]).fetchone()


def drop_payloads(connection, until: datetime) -> None:
    """As retention does it: note it first, then drop."""
    connection.execute("INSERT INTO retention_states (table_name, kept_since) VALUES ('llm_payloads', %s)", [until])
    connection.execute("DELETE FROM llm_payloads WHERE created_at < %s", [until])


@pytest.mark.parametrize("is_redelivered", [False, True], ids=["new", "doubtful"])
def test_a_payload_is_written_once_and_not_beside_the_calls_figures(writer, connection, is_redelivered):
    calls = [llm_event(prompt="p"), llm_event(response="r"), llm_event(), llm_event(prompt="", response="")]

    written = writer.write([entry(*calls, redelivered=is_redelivered)])

    assert (written.rows, rows(connection, "llm_payloads")) == (4, 3)
    assert {columns(connection, call) for call in calls} == {(None, None)}
    for call in calls:
        assert read_payload(connection, call.created_at, call.id) == Payload(call.prompt, call.response)


def test_a_call_delivered_again_changes_neither_table(writer, connection):
    delivered = entry(llm_event(prompt="p"), llm_event())
    writer.write([delivered])
    resent = entry(llm_event(prompt="new"), redelivered=True)

    writer.write([again(delivered), resent])

    assert (rows(connection, "llm_logs"), rows(connection, "llm_payloads"), letters(connection)) == (3, 2, {})


def test_the_same_call_with_another_payload_is_a_conflict_and_the_first_stands(writer, connection):
    calls = [llm_event(**payload) for payload in ({"prompt": "p"}, {"response": "r"}, {})]
    writer.write([entry(*calls)])
    others = [
        replace(call, **payload) for call in calls for payload in ({"prompt": "q"}, {"prompt": "p", "response": "r"})
    ]

    written = writer.write([entry(*others)])

    assert (written.rows, letters(connection)) == (0, {"conflict": len(others)})
    for call in calls:
        assert read_payload(connection, call.created_at, call.id) == Payload(call.prompt, call.response)


def test_of_two_payloads_with_one_key_in_one_batch_the_first_stands(writer, connection):
    call = llm_event()

    writer.write([entry(call, replace(call, prompt="second"), redelivered=True)])

    assert (rows(connection, "llm_payloads"), letters(connection)) == (0, {"conflict": 1})


def test_a_legacy_row_is_compared_by_the_payload_in_it(writer, connection):
    call = llm_event(prompt="legacy", response="r")
    connection.execute(LEGACY, [call.id, call.created_at, "legacy", "r"])

    written = writer.write([entry(call, replace(call, prompt="other"))])

    assert (written.duplicates, letters(connection), rows(connection, "llm_payloads")) == (1, {"conflict": 1}, 0)
    assert read_payload(connection, call.created_at, call.id) == Payload("legacy", "r")


def test_a_call_whose_payload_was_dropped_is_no_conflict_when_it_comes_again(writer, connection):
    call = llm_event(prompt="p")
    writer.write([entry(call)])
    drop_payloads(connection, call.created_at + timedelta(days=1))

    written = writer.write([entry(call)])

    assert (written.duplicates, letters(connection)) == (1, {})
    assert writer.write([entry(replace(call, model="other"))]).dead_letters == 1


def test_a_call_of_a_day_whose_payloads_were_dropped_is_a_row_without_one(writer, connection):
    drop_payloads(connection, datetime.now(UTC) - timedelta(days=5))
    late, new = llm_event(created_at=datetime.now(UTC) - timedelta(days=9), prompt="late"), llm_event(prompt="new")

    written = writer.write([entry(late, new)])

    assert written.rows == 2
    assert read_payload(connection, late.created_at, late.id) == Payload(None, None)
    assert read_payload(connection, new.created_at, new.id) == Payload("new", None)


def test_a_day_without_a_partition_for_payloads_is_made_on_demand(writer, connection):
    late = llm_event(created_at=datetime.now(UTC) - timedelta(days=9), prompt="late")

    assert writer.write([entry(late)]).rows == 1

    assert read_payload(connection, late.created_at, late.id) == Payload("late", None)


def test_a_payload_that_postgresql_refuses_costs_no_other(writer, connection):
    connection.execute("ALTER TABLE llm_payloads ADD CONSTRAINT ck_no_evil CHECK (prompt <> 'evil')")
    calls = [llm_event(prompt="evil" if number == 61 else "good") for number in range(100)]

    written = writer.write([entry(system_event(), *calls)])

    assert (written.rows, letters(connection)) == (100, {"refused": 1})
    assert (rows(connection, "llm_logs"), rows(connection, "llm_payloads")) == (99, 99)


def test_a_nul_in_a_prompt_is_mended(writer, connection):
    call = llm_event(prompt="a\x00b")

    writer.write([entry(call)])

    assert read_payload(connection, call.created_at, call.id) == Payload("a\ufffdb", None)


def test_where_there_is_no_call_there_is_no_payload(connection):
    assert read_payload(connection, datetime.now(UTC), uuid7()) is None
