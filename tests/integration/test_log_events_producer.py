"""A producer on a server that answers: frames, flushing, counters, reports."""

import threading
import time
from datetime import UTC, datetime

import msgspec
import pytest
import redis

from log_events.event_queue import EventQueue
from log_events.llm_log import LlmLogEvent
from log_events.producer import Producer
from log_events.uuid7 import uuid7
from log_events.wire import MAX_FRAME_BYTES
from tests.fixtures.log_events import event_queue, events_in, frames_in, sent, wait_until
from tests.fixtures.logs import system_event


def test_an_event_arrives_unchanged(producer):
    event = system_event(message="déjà vu", extra_data='{"a":1}', user_id=uuid7())

    assert producer.emit(event)
    assert sent(producer) == [event]


def test_an_event_arrives_by_itself_after_one_flush_interval(producer):
    producer.emit(system_event())

    wait_until(lambda: len(events_in(producer.settings.redis_url)) == 1, timeout_seconds=3)


def test_both_kinds_of_event_share_a_frame(producer):
    call = LlmLogEvent(uuid7(), datetime.now(UTC), "p", "m", None, None, None, 1, 2, 3, None, 5, "success")
    event = system_event()
    producer.emit(event)
    producer.emit(call)

    assert producer.flush(5)
    assert frames_in(producer.settings.redis_url) == [[event, call]]


def test_ten_thousand_events_of_four_threads_arrive_each_exactly_once(producer):
    def log(thread: int) -> None:
        for number in range(2500):
            producer.emit(system_event(component=f"thread {thread}", message=str(number)))

    threads = [threading.Thread(target=log, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    events = sent(producer)
    assert len({event.id for event in events}) == len(events) == 10_000
    assert producer.counters.accepted_events == 10_000
    depth = event_queue(producer.settings.redis_url).depth()
    assert depth.stream_events == 10_000


def test_with_one_sending_thread_each_threads_events_keep_their_order(new_producer):
    producer = new_producer(thread_pool_size=1)

    def log(thread: int) -> None:
        for number in range(3000):
            producer.emit(system_event(component=str(thread), message=f"{number}" + "x" * 300))

    threads = [threading.Thread(target=log, args=(thread,)) for thread in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    events = sent(producer)
    assert len(frames_in(producer.settings.redis_url)) > 2
    for thread in "012":
        numbers = [int(event.message.rstrip("x")) for event in events if event.component == thread]
        assert numbers == list(range(3000))


def test_with_more_sending_threads_the_events_of_a_frame_keep_their_order(new_producer):
    producer = new_producer(thread_pool_size=4)
    for number in range(5000):
        producer.emit(system_event(message=f"{number}" + "x" * 1000))

    assert producer.flush(5)
    frames = [[int(event.message.rstrip("x")) for event in frame] for frame in frames_in(producer.settings.redis_url)]
    assert all(frame == list(range(frame[0], frame[0] + len(frame))) for frame in frames)
    assert sorted(number for frame in frames for number in frame) == list(range(5000))


def test_no_frame_is_larger_than_a_mebibyte_unless_its_only_event_is(producer):
    for size in [10_000] * 250 + [3 * MAX_FRAME_BYTES] + [10] * 5:
        producer.emit(system_event(message="x" * size))
    producer.flush(5)

    with redis.Redis.from_url(producer.settings.redis_url) as client:
        entries = [entry for _, entry in client.xrange("{logs_queue}:stream")]
    sizes = [len(entry[b"z"]) for entry in entries]
    large = [entry for entry in entries if len(entry[b"z"]) > MAX_FRAME_BYTES]
    assert max(size for size in sizes if size <= MAX_FRAME_BYTES) > 0.98 * MAX_FRAME_BYTES
    assert [entry[b"n"] for entry in large] == [b"1"]
    assert sum(int(entry[b"n"]) for entry in entries) == 256


def test_a_full_frame_does_not_wait_for_the_flush_interval(new_producer):
    producer = new_producer(flush_interval_seconds=60)
    for _ in range(150):
        producer.emit(system_event(message="x" * 10_000))

    wait_until(lambda: producer.counters.accepted_events >= 100, timeout_seconds=5)


def test_a_flush_does_not_wait_for_the_flush_interval(new_producer):
    producer = new_producer(flush_interval_seconds=60)
    producer.emit(system_event())
    started = time.monotonic()

    assert producer.flush(10)
    assert time.monotonic() - started < 5


def test_a_flush_of_nothing_is_done_at_once(producer):
    assert producer.flush(0)


def test_closing_sends_what_is_buffered_and_later_events_are_counted_as_dropped(new_producer):
    producer = new_producer(flush_interval_seconds=60)
    for _ in range(100):
        producer.emit(system_event())
    started = time.monotonic()

    assert producer.close(10)
    assert time.monotonic() - started < 5
    assert len(events_in(producer.settings.redis_url)) == 100
    assert not producer.emit(system_event(level="ERROR"))
    assert producer.counters.dropped_by_kind == {"ERROR": 1}
    assert producer.close()


def test_no_thread_is_left_after_closing(new_producer):
    before = threading.active_count()
    producer = new_producer(thread_pool_size=3)
    assert threading.active_count() == before
    producer.emit(system_event())
    assert threading.active_count() == before + 3
    producer.close()

    assert threading.active_count() == before


def test_texts_that_cannot_be_stored_are_mended_on_the_way(producer):
    producer.emit(system_event(message="nul \0", stack_trace="lone \udcff"))

    (event,) = sent(producer)
    assert (event.message, event.stack_trace) == ("nul \ufffd", "lone \ufffd")


def test_an_event_that_cannot_be_encoded_is_counted_and_hurts_nobody(producer):
    assert not producer.emit(system_event(message=object()))
    assert producer.emit(system_event())

    assert {event.component for event in sent(producer)} == {"c", "log_events"}
    assert producer.counters.dropped_by_kind == {"INFO": 1}


def test_an_event_that_the_queue_can_never_hold_is_dropped_and_the_others_go_on(new_producer, capfd):
    producer = new_producer(queue_max_bytes=20_000)
    producer.emit(system_event(level="ERROR", message="x" * 30_000))
    producer.emit(system_event())

    wait_until(lambda: sorted(event.component for event in sent(producer)) == ["c", "log_events"])
    assert producer.counters.dropped_by_kind == {"ERROR": 1}
    assert "larger than LOGS_QUEUE_MAX_BYTES" in capfd.readouterr().err


def test_a_message_of_two_million_characters_is_dropped_by_its_level_and_ends_no_thread(new_producer):
    producer = new_producer(queue_max_bytes=1024 * 1024)
    for _ in range(producer.settings.thread_pool_size):
        producer.emit(system_event(level="ERROR", message="x" * 2_000_000))
    producer.emit(system_event())

    assert producer.flush(5)
    assert producer.counters.dropped_by_kind == {"ERROR": 2}
    assert producer.counters.accepted_events >= 1


def test_each_sending_thread_has_one_connection(new_producer):
    producer = new_producer(thread_pool_size=3)
    for _ in range(30):
        producer.emit(system_event(message="x" * (MAX_FRAME_BYTES // 2)))
    producer.flush(5)

    with redis.Redis.from_url(producer.settings.redis_url) as client:
        used = [client for client in client.client_list() if client["cmd"] == "evalsha"]
    assert 1 <= len(used) <= 3


def reports(producer: Producer) -> list[msgspec.Struct]:
    queue = EventQueue(redis.Redis.from_url(producer.settings.redis_url))
    return [seen.report for seen in queue.producer_reports()]


def test_a_producer_reports_itself_and_is_forgotten_when_it_leaves_in_good_order(producer):
    producer.emit(system_event())
    wait_until(lambda: len(reports(producer)) == 1)

    (report,) = reports(producer)
    assert (report.service, report.dropped_events) == ("tests", 0)
    producer.close()
    assert reports(producer) == []


def test_the_last_report_of_a_producer_that_dropped_events_stays(producer):
    producer.emit(system_event())
    producer.count_dropped("ERROR")
    producer.close()

    (report,) = reports(producer)
    assert (report.accepted_events, report.dropped_by_kind) == (2, {"ERROR": 1})  # one tells of the drop


def test_wrong_settings_are_told_when_the_producer_is_made(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)

    with pytest.raises(ValueError, match="REDIS_URL is not set"):
        Producer.from_environment()


def test_an_entry_holds_version_number_of_events_and_frame(producer):
    producer.emit(system_event())
    producer.flush(5)

    with redis.Redis.from_url(producer.settings.redis_url) as client:
        ((_, entry),) = client.xrange("{logs_queue}:stream")
    assert list(entry) == [b"v", b"n", b"l", b"g", b"z"]
