"""Events that no program in its right mind sends, through both doors into the real database: none holds up a lane."""

import json
from decimal import Decimal

import pytest
import redis

from log_events.event_queue import EventQueue
from tests.fixtures.entries import LLM, SYSTEM
from tests.fixtures.logs import llm_event as llm_call
from tests.fixtures.logs import system_event
from tests.fixtures.written import again, entry, letters, rows
from worker.entry import Entry
from worker.mending import mend
from worker.receive import Receiver
from worker.write import Writer

GOOD = json.dumps(SYSTEM).encode()


class Door:
    """The list ``logs_queue``, and all that stands between it and the tables."""

    def __init__(self, client: redis.Redis, writer: Writer) -> None:
        self._queue = EventQueue(client)
        self._queue.ensure_group()
        self._receiver = Receiver(self._queue, "this-host:1:1/0", "this-host")
        self._writer = writer

    def push(self, *raws: bytes) -> None:
        """Push events, and write them as a lane does."""
        self._queue.client.lpush(self._queue.keys.list, *raws)
        self._queue.bridge(max_events=100, max_entry_bytes=1_000_000)
        self._writer.write(self._receiver.receive())


@pytest.fixture
def door(redis_url, writer):
    with redis.Redis.from_url(redis_url) as client:
        yield Door(client, writer)


def llm_event(fields: bytes) -> bytes:
    return json.dumps(LLM).encode()[:-1] + b"," + fields + b"}"


def test_a_number_with_an_exponent_beyond_all_bounds_is_a_dead_letter_wherever_it_stands(door, logs_connection):
    number = b"1e1000000000000000000"

    door.push(
        b'{"a":%b}' % number,
        llm_event(b'"cost_usd":%b' % number),
        llm_event(b'"extra_data":{"a":[%b]}' % number),
        llm_event(b'"extra_data":"{\\"a\\":%b}"' % number),
        llm_event(b'"operation":"\xff","cost_usd":-0e-%b' % number[2:]),
        GOOD,
    )

    assert (rows(logs_connection), letters(logs_connection)) == (1, {"out_of_range": 5})


def test_an_integer_of_any_length_is_kept_digit_by_digit(door, logs_connection):
    digits = "7" * 5000

    door.push(llm_event(b'"extra_data":{"a":%b}' % digits.encode()))

    assert logs_connection.execute("SELECT extra_data ->> 'a' FROM llm_logs").fetchone() == (digits,)


def test_a_cost_of_more_digits_than_numeric_holds_is_a_dead_letter_by_either_door(door, writer, logs_connection):
    cost, long_cost = "1." + "0" * 16_384, "1." + "7" * 15_000

    door.push(llm_event(b'"cost_usd":%b' % cost.encode()), GOOD)
    writer.write([entry(llm_call(cost_usd=Decimal(cost)), llm_call(cost_usd=Decimal(long_cost)))])

    assert (rows(logs_connection), letters(logs_connection)) == (1, {"out_of_range": 2})
    assert logs_connection.execute("SELECT cost_usd FROM llm_logs").fetchall() == [(Decimal(long_cost),)]


def test_a_secret_in_a_field_that_is_no_column_is_taken_out(door, logs_connection):
    door.push(json.dumps(SYSTEM | {"password": "hunter2", "pod": "a-1", "extra_data": {"n": 1}}).encode())

    extra = logs_connection.execute("SELECT extra_data FROM system_logs").fetchone()[0]
    assert extra == {"password": "[redacted]", "pod": "a-1", "n": 1}


def test_a_framed_event_becomes_the_same_whether_it_is_new_or_delivered_again(writer, logs_connection):
    def odd() -> Entry:
        return entry(system_event(), system_event(extra_data="[1]"), llm_call(cost_usd=Decimal("1e-2000")))

    writer.write([odd()])
    assert (rows(logs_connection), letters(logs_connection)) == (1, {"wrong_type": 1, "out_of_range": 1})

    writer.write([again(odd())])
    assert (rows(logs_connection), letters(logs_connection)) == (2, {"wrong_type": 2, "out_of_range": 2})


def test_what_the_driver_itself_refuses_is_a_dead_letter_and_costs_its_neighbours_nothing(
    writer, logs_connection, monkeypatch
):
    monkeypatch.setattr("worker.mending.are_storable", lambda _: True)
    odd = llm_call(cost_usd=Decimal("1." + "0" * 16_384))

    writer.write([entry(llm_call(), odd, llm_call()), entry(llm_call())])

    assert (rows(logs_connection, "llm_logs"), letters(logs_connection)) == (3, {"refused": 1})
    assert "DataError" in logs_connection.execute("SELECT detail FROM dead_letters").fetchone()[0]


def test_an_event_at_which_the_worker_itself_fails_is_a_dead_letter_and_told_in_the_log(
    door, logs_connection, monkeypatch, caplog
):
    def failing(event_type, fields, **defaults):
        return 1 / 0 if fields["message"] == "hunter2" else mend(event_type, fields, **defaults)

    monkeypatch.setattr("worker.decode.mend", failing)

    door.push(json.dumps(SYSTEM | {"message": "hunter2"}).encode(), GOOD)

    assert (rows(logs_connection), letters(logs_connection)) == (1, {"wrong_type": 1})
    detail, raw = logs_connection.execute("SELECT detail, raw FROM dead_letters").fetchone()
    assert "ZeroDivisionError" in detail
    assert b"hunter2" in raw
    warnings = [record for record in caplog.records if record.event == "event_unreadable"]
    assert [(record.levelname, record.error) for record in warnings] == [("WARNING", "ZeroDivisionError")]
    assert "hunter2" not in repr([vars(record) for record in warnings])
