"""The bounded buffer: what it takes, hands over and drops."""

import signal
import threading
import time
from datetime import UTC, datetime

import pytest

from log_events.dropped_kinds import kind_of
from log_events.event_buffer import EventBuffer
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import encode_event

TEN = b"x" * 10


def taken(buffer: EventBuffer) -> list[int]:
    """Take everything; return how many events each batch has."""
    sizes = []
    while batch := buffer.take():
        sizes.append(len(batch.events))
    return sizes


def test_events_are_handed_over_in_the_order_they_came():
    buffer = EventBuffer(max_bytes=1000)
    for number in range(5):
        buffer.put(b"%d" % number, "INFO")

    assert buffer.take().events == [b"0", b"1", b"2", b"3", b"4"]
    assert buffer.take() is None


def test_a_batch_does_not_outgrow_a_frame():
    buffer = EventBuffer(max_bytes=1000, max_frame_bytes=35)
    for _ in range(8):
        buffer.put(TEN, "INFO")

    assert taken(buffer) == [3, 3, 2]


def test_an_event_larger_than_a_frame_travels_alone():
    buffer = EventBuffer(max_bytes=1000, max_frame_bytes=35)
    for encoded in (TEN, b"x" * 100, TEN, TEN):
        buffer.put(encoded, "INFO")

    assert taken(buffer) == [1, 1, 2]


def test_at_the_bound_events_are_dropped_and_counted_by_kind():
    buffer = EventBuffer(max_bytes=25)
    verdicts = [buffer.put(TEN, kind) for kind in ("INFO", "INFO", "ERROR", "INFO", "ERROR")]

    assert verdicts == [True, True, False, False, False]
    assert buffer.counters().dropped_by_kind == {"ERROR": 2, "INFO": 1}
    assert buffer.counters().dropped_events == 3


def test_what_is_on_its_way_counts_until_it_is_settled():
    buffer = EventBuffer(max_bytes=10)
    buffer.put(TEN, "INFO")
    batch = buffer.take()

    assert not buffer.put(TEN, "INFO")
    assert buffer.counters().buffered_bytes == 10
    buffer.settle(batch)
    assert buffer.put(TEN, "INFO")
    assert buffer.counters().accepted_events == 1


def test_a_refused_batch_makes_room_and_counts_as_dropped():
    buffer = EventBuffer(max_bytes=1000)
    event = SystemLogEvent(uuid7(), datetime.now(UTC), "ERROR", "c", "m")
    buffer.put(encode_event(event), "ERROR")
    buffer.refuse(buffer.take(), "too large")

    counters = buffer.counters()
    assert (counters.dropped_by_kind, counters.buffered_events, counters.buffered_bytes) == ({"ERROR": 1}, 0, 0)


def test_a_flush_waits_for_what_was_put_before_it_and_not_for_what_came_after():
    buffer = EventBuffer(max_bytes=1000, max_frame_bytes=10)
    buffer.put(TEN, "INFO")
    first = buffer.take()
    done = threading.Event()
    flush = threading.Thread(target=lambda: buffer.flush(5.0) and done.set())
    flush.start()
    while not buffer._flushes:
        time.sleep(0.001)
    buffer.put(TEN, "INFO")
    assert not done.wait(0.05)
    buffer.settle(first)

    assert done.wait(1.0)
    flush.join()
    assert not buffer.is_empty


def test_a_flush_is_not_content_with_later_batches():
    buffer = EventBuffer(max_bytes=1000, max_frame_bytes=10)
    buffer.put(TEN, "INFO")
    buffer.put(TEN, "INFO")
    _, second = buffer.take(), buffer.take()
    buffer.settle(second)

    assert not buffer.flush(0.01)


def test_a_closed_buffer_drops_and_counts():
    buffer = EventBuffer(max_bytes=1000)
    buffer.close()

    assert not buffer.put(TEN, "INFO")
    assert buffer.counters().dropped_events == 1


def test_what_is_abandoned_is_counted_by_level_and_no_longer_held():
    buffer = EventBuffer(max_bytes=1000)
    for level in ("INFO", "ERROR", "INFO"):
        buffer.put(encode_event(SystemLogEvent(uuid7(), datetime.now(UTC), level, "c", "m")), level)
    late = buffer.take()

    assert buffer.abandon() == 3
    buffer.settle(late)
    counters = buffer.counters()
    assert counters.dropped_by_kind == {"INFO": 2, "ERROR": 1}
    assert (counters.accepted_events, counters.buffered_events, counters.buffered_bytes) == (0, 0, 0)


@pytest.mark.parametrize(
    "encoded", [b"", b"x", b"\xdc\x00\x11\x01", encode_event(("no", "log")), encode_event((1, None, None, 7))]
)
def test_what_tells_no_level_is_counted_nevertheless(encoded):
    assert kind_of(encoded) == "other"


def test_a_waiting_sender_is_woken_by_the_first_event_and_by_each_full_frame_only():
    buffer = EventBuffer(max_bytes=1000, max_frame_bytes=35)
    for _ in range(8):
        buffer.put(TEN, "INFO")

    assert [buffer.wait(0) for _ in range(4)] == [True, True, True, False]


def test_an_event_that_stays_behind_wakes_another_sender():
    buffer = EventBuffer(max_bytes=1000, max_frame_bytes=10)
    buffer.put(TEN, "INFO")
    buffer.put(TEN, "INFO")
    while buffer.wait(0):
        pass
    buffer.take()

    assert buffer.wait(0)


def test_threads_do_not_lose_each_others_events():
    buffer = EventBuffer(max_bytes=1 << 30, max_frame_bytes=1000)
    threads = [threading.Thread(target=lambda: [buffer.put(TEN, "INFO") for _ in range(5000)]) for _ in range(4)]
    seen = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not buffer.is_empty:
        if batch := buffer.take():
            seen += batch.events
            buffer.settle(batch)

    assert len(seen) == buffer.counters().accepted_events == 20_000
    assert buffer.counters().buffered_bytes == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
def test_a_signal_handler_may_put_while_its_thread_is_in_put():
    buffer = EventBuffer(max_bytes=1 << 30, max_frame_bytes=1000)
    interruptions = 0

    def interrupt(*_: object) -> None:
        nonlocal interruptions
        interruptions += 1
        buffer.put(TEN, "INFO")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        put = 0
        while interruptions < 300:
            buffer.put(TEN, "INFO")
            put += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    events = 0
    while batch := buffer.take():
        events += len(batch.events)
        buffer.settle(batch)
    assert events == put + interruptions
    assert buffer.counters().buffered_bytes == 0
