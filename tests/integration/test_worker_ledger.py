"""Accepted = written + deduplicated + dead + waiting, by hour and kind; and whoever tampers with it is seen."""

import json
import threading
from contextlib import closing

import psycopg
import pytest
import redis

from api.ledger_balance import read_balance
from log_events.event_queue import Acknowledgement, EventQueue
from log_events.kinds import KindCounts, counts_of_encoded, kind_of_pushed
from log_events.llm_log import LlmLogEvent
from log_events.wire import encode_event, encode_frame
from logs_db import ledger
from tests.fixtures.entries import LLM, SYSTEM
from tests.fixtures.logs import llm_event, system_event, wait_until
from tests.fixtures.written import rows
from worker import receive
from worker.holds import Holds
from worker.patience import Patience
from worker.receive import Receiver
from worker.redis_connection import connect_redis
from worker.write import Writer


@pytest.fixture
def queue(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueue(client)


@pytest.fixture
def balance(queue, logs_connection):
    return lambda: read_balance(queue, logs_connection)


@pytest.fixture
def drained(queue, redis_url, logs_database_url, start_worker):
    """A function that has a worker write all that waits."""

    def drain() -> None:
        worker = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
        wait_until(lambda: queue.depth().events == 0)
        worker.terminate()
        worker.wait()

    return drain


def writing(url: str, queue: EventQueue) -> closing:
    """The writer of a lane whose entries come from *queue*."""
    patience = Patience("waiting_for_postgres", threading.Event())
    return closing(Writer(url, patience, lambda *_: None, "test", gone_of=Holds(queue).gone_of))


def test_an_encoded_event_tells_its_kind():
    events = [system_event(), llm_event(), llm_event()]

    assert counts_of_encoded(map(encode_event, events)) == KindCounts(1, 2, 0)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"type":"system_log"}', "system_log"),
        (b'{ "a":1, "type" : "llm_log"}', "llm_log"),
        (b'{"type":"audit"}', "other"),
        (b'{"extra_data":{"type":"x"},"type":"llm_log"}', "other"),
        (b"not json", "other"),
        (b"", "other"),
        (b'\x00"type":"system_log"', "system_log"),
        (b'{"type":"system_log', "other"),
    ],
)
def test_script_and_worker_see_the_same_kind_in_a_pushed_event(queue, raw, kind):
    queue.client.lpush("logs_queue", raw)
    queue.bridge(max_events=10, max_entry_bytes=1 << 20)

    assert kind_of_pushed(raw) == kind
    assert {name for _, name in queue.accounts().accepted} == {kind}


def test_the_ledger_balances_for_both_doors_all_kinds_and_all_outcomes(queue, balance, drained):
    twice = [system_event(), llm_event()]
    for events in (twice, twice, [system_event() for _ in range(5)]):
        queue.admit(encode_frame(events), len(events), llm_logs=sum(isinstance(one, LlmLogEvent) for one in events))
    queue.admit(b"damaged", 3, llm_logs=1)
    for pushed in (SYSTEM, LLM, SYSTEM | {"level": "LOUD"}, {"type": "audit"}):
        queue.client.lpush("logs_queue", json.dumps(pushed))

    before = balance()
    drained()
    after = balance()

    assert (before.accepted, before.waiting, before.imbalance) == (12, 12, 0)
    assert (after.accepted, after.waiting, after.imbalance) == (16, 0, 0)
    assert (after.written, after.deduplicated, after.dead) == (9, 2, 5)
    assert all(line.imbalance == 0 for line in after.lines)
    assert {line.kind for line in after.lines} == {"system_log", "llm_log", "other"}


def test_an_entry_written_by_a_worker_that_died_before_its_acknowledgement_is_counted_once(
    queue, balance, drained, logs_database_url
):
    queue.ensure_group()
    queue.admit(encode_frame([system_event() for _ in range(10)]), 10)
    entries = Receiver(queue, "another-host:1:1/0", "another-host").receive()
    with writing(logs_database_url, queue) as writer:
        writer.write(entries)

    drained()

    assert (balance().written, balance().deduplicated, balance().imbalance) == (10, 0, 0)


def acknowledgements(entries):
    return [Acknowledgement(each.id, each.payload_bytes, each.counts) for each in entries]


def test_what_a_worker_that_was_slow_writes_after_all_was_folded_is_counted_once(
    queue, balance, logs_database_url, logs_connection, monkeypatch
):
    monkeypatch.setattr(receive, "SHORTEST_IDLE_SECONDS", 0)
    queue.ensure_group()
    queue.admit(encode_frame([system_event() for _ in range(10)]), 10)
    queue.admit(b"damaged", 3)
    queue.admit(encode_frame([system_event(level="LOUD"), system_event(message="a\x00")]), 2)
    slow, quick = (Receiver(queue, f"{name}:1:1/0", name) for name in ("slow", "quick"))
    held = [slow.receive(), slow.receive()]
    with writing(logs_database_url, queue) as writer:
        (taken,) = quick.claim()
        writer.write(taken)
        queue.acknowledge(acknowledgements(taken))
    generation, milliseconds, number = queue.boundary()
    ledger.fold(logs_connection, generation=generation, oldest_ms=milliseconds, oldest_seq=number)

    with writing(logs_database_url, queue) as writer:
        for entries in filter(None, held):
            writer.write(entries)
            assert queue.acknowledge(acknowledgements(entries)) == 0

    found = balance()
    assert (found.written, found.deduplicated, found.dead, found.imbalance) == (11, 0, 4, 0)


def test_what_is_in_hand_when_redis_is_emptied_or_gone_is_written_all_the_same(
    queue, logs_database_url, logs_connection
):
    queue.ensure_group()
    queue.admit(encode_frame([system_event()]), 1)
    entries = Receiver(queue, "host:1:1/0", "host").receive()
    queue.client.flushall()
    with writing(logs_database_url, queue) as writer:
        assert writer.write(entries).rows == 1
    nowhere = EventQueue(connect_redis("redis://127.0.0.1:1/0"))
    queue.ensure_group()
    queue.admit(encode_frame([system_event()]), 1)
    with writing(logs_database_url, nowhere) as writer:
        assert writer.write(Receiver(queue, "host:2:2/0", "host").receive()).rows == 1

    assert rows(logs_connection) == 2
    assert rows(logs_connection, "ledger_entries") == 2


def test_a_stream_entry_deleted_by_hand_is_missed(queue, balance, drained):
    queue.admit(encode_frame([system_event() for _ in range(7)]), 7)
    lost = queue.admit(encode_frame([system_event()]), 1)
    queue.client.xdel(queue.keys.stream, lost)
    queue.client.set(queue.keys.events, 7)

    drained()

    assert balance().imbalance == 1


def test_a_row_of_the_ledger_deleted_by_hand_is_missed(queue, balance, drained, logs_connection):
    queue.admit(encode_frame([system_event() for _ in range(7)]), 7)
    drained()
    logs_connection.execute("DELETE FROM ledger_entries")
    logs_connection.execute("DELETE FROM ledger_hours")

    assert balance().imbalance == 7


def test_folding_changes_no_sum(queue, balance, drained, logs_connection):
    for _ in range(3):
        queue.admit(encode_frame([system_event() for _ in range(5)]), 5)
    drained()
    unfolded = balance()

    generation, milliseconds, number = queue.boundary()
    ledger.fold(logs_connection, generation=generation, oldest_ms=milliseconds, oldest_seq=number)

    assert balance() == unfolded
    assert logs_connection.execute("SELECT count(*) FROM ledger_entries").fetchone() == (0,)


def test_told_to_stop_folding_begins_no_further_batch(logs_connection):
    logs_connection.execute("INSERT INTO ledger_entries VALUES (1, 1, 'gone', 'system_log', 1, 0, 0)")
    stop = threading.Event()
    stop.set()

    assert ledger.fold(logs_connection, generation="g", oldest_ms=0, oldest_seq=0, stop=stop) == 0
    assert ledger.fold(logs_connection, generation="g", oldest_ms=0, oldest_seq=0, stop=threading.Event()) == 1


def test_entries_still_in_the_stream_are_not_folded(queue, logs_connection, drained):
    queue.admit(encode_frame([system_event()]), 1)
    drained()
    waits = queue.admit(encode_frame([system_event()]), 1)

    assert queue.boundary()[1:] == tuple(map(int, waits.split(b"-")))


def test_two_workers_that_hold_the_same_entry_write_it_once(queue, balance, redis_url, logs_database_url, start_worker):
    for _ in range(200):
        queue.admit(encode_frame([system_event() for _ in range(50)]), 50)
    workers = [start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url) for _ in range(2)]
    wait_until(lambda: queue.depth().events == 0)
    for worker in workers:
        worker.terminate()

    with psycopg.connect(logs_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM system_logs").fetchone() == (10_000,)
    assert (balance().written, balance().imbalance) == (10_000, 0)
