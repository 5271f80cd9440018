"""A producer with a spool whose Redis is away, hanging, full or restarted."""

import itertools
import signal
import time
from collections import Counter
from contextlib import closing

import pytest

from log_events.event_queue import Acknowledgement
from log_events.kinds import KindCounts
from log_events.wire import decode_frame
from servers.valkey import RedisServer
from tests.fixtures.log_events import (
    event_queue,
    events_in,
    messages_in,
    segments,
    spooled_bytes,
    started_at,
    wait_until,
)
from tests.fixtures.logs import system_event


def test_what_redis_does_not_take_waits_on_disk_and_arrives_when_it_is_back(spooling, away, tmp_path, spool_folder):
    producer = spooling(away)
    for number in range(5000):
        producer.emit(system_event(message=str(number)))
    assert producer.flush(10)
    counters = producer.counters
    assert (counters.buffered_events, counters.spooled_events, counters.accepted_events) == (0, 5000, 5000)
    assert spooled_bytes(spool_folder) > 100_000

    with started_at(away, tmp_path):
        wait_until(lambda: not segments(spool_folder))
        producer.emit(system_event(message="after"))
        assert producer.flush(5)
        assert messages_in(away) == Counter([*map(str, range(5000)), "after"])
    assert producer.counters.dropped_events == 0


def test_the_oldest_are_delivered_first_and_new_events_do_not_wait_for_them(spooling, away, tmp_path, spool_folder):
    producer = spooling(away, thread_pool_size=1)
    for number in range(60):
        producer.emit(system_event(message=f"{number} " + "x" * 100_000))
        if number % 5 == 4:
            assert producer.flush(5)
    with started_at(away, tmp_path):
        wait_until(lambda: bool(events_in(away)))
        producer.emit(system_event(message="new"))
        assert producer.flush(5)
        wait_until(lambda: not segments(spool_folder))
        messages = [event.message.split()[0] for event in events_in(away)]

    assert [message for message in messages if message != "new"] == list(map(str, range(60)))
    assert "new" in messages


def test_a_redis_that_hangs_costs_no_more_than_its_time_out(spooling, tmp_path, spool_folder):
    with RedisServer.start(tmp_path / "redis") as server:
        producer = spooling(f"{server.url}?socket_timeout=0.3")
        producer.emit(system_event(message="before"))
        assert producer.flush(5)
        server.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(200):
                producer.emit(system_event(message=str(number)))
                time.sleep(0.002)
            assert producer.flush(5)
            assert producer.counters.spooled_events > 0
        finally:
            server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not segments(spool_folder))
        assert set(messages_in(server.url)) == {"before", *map(str, range(200))}


@pytest.mark.parametrize("limit", ["LOGS_QUEUE_MAX_BYTES", "maxmemory"])
def test_a_full_redis_leaves_events_on_disk_until_it_is_drained(any_redis_url, spooling, spool_folder, limit):
    queue = event_queue(any_redis_url)
    with closing(queue.client) as client:
        producer = spooling(any_redis_url, **({"queue_max_bytes": 3_000_000} if limit != "maxmemory" else {}))
        if limit == "maxmemory":  # clients' buffers count too
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 3_000_000)
        try:
            for number in range(600):
                producer.emit(system_event(message=f"{number} " + "x" * 10_000))
                if number % 50 == 49:
                    assert producer.flush(10)
            assert spooled_bytes(spool_folder) > 500_000
            seen: set[str] = set()
            deadline = time.monotonic() + 20
            while segments(spool_folder) and time.monotonic() < deadline:
                for entry_id, entry in client.xrange(queue.keys.stream):
                    seen |= {event.message.split()[0] for event in decode_frame(entry[b"z"])}
                    queue.acknowledge([Acknowledgement(entry_id, len(entry[b"z"]), KindCounts(int(entry[b"n"])))])
                time.sleep(0.02)
            seen |= {message.split()[0] for message in messages_in(any_redis_url)}
        finally:
            client.config_set("maxmemory", 0)
    assert producer.counters.dropped_events == 0
    assert len(seen) == 600


def test_a_spooled_frame_that_a_lowered_limit_excludes_is_counted_and_the_next_ones_are_delivered(
    spooling, away, tmp_path, spool_folder
):
    earlier = spooling(away)
    for message in ("x" * 2_000_000, "small"):
        earlier.emit(system_event(level="ERROR", message=message))
        assert earlier.flush(5)
    earlier.close()

    producer = spooling(away, queue_max_bytes=1024 * 1024)
    with started_at(away, tmp_path):
        producer.start()
        wait_until(lambda: not segments(spool_folder))
        assert producer.counters.dropped_by_kind == {"ERROR": 1}
        assert messages_in(away)["small"] == 1


def test_a_restarted_redis_misses_nothing(spooling, away, tmp_path, spool_folder):
    producer, numbers = spooling(away), itertools.count()

    def emit(events: int) -> None:
        for _ in range(events):
            producer.emit(system_event(message=str(next(numbers))))
            time.sleep(0.001)

    for _ in range(3):
        with started_at(away, tmp_path):
            emit(100)
        emit(100)
    with started_at(away, tmp_path):
        assert producer.flush(10)
        wait_until(lambda: not segments(spool_folder))
        assert set(messages_in(away)) == {str(number) for number in range(next(numbers))}
