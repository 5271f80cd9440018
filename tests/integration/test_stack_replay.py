"""Recorded calls are sent at their pace, all of them, as if they happened now."""

import itertools
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import redis

from headhunter.stack.flow import FlowMeter
from headhunter.stack.replay import TRACE_PATH, recorded_calls, replay
from headhunter.stack.tally import read_tallies, write_tally
from log_events.event_queue import EventQueue
from log_events.producer import Producer
from log_events.producer_settings import ProducerSettings
from log_events.wire import decode_frame


@pytest.fixture
def producer(redis_url):
    made = Producer(ProducerSettings(redis_url=redis_url))
    yield made
    made.close()


@pytest.fixture(scope="module")
def calls():
    return recorded_calls()


def queued_events(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        entries = client.xrange(EventQueue(client).keys.stream)
    return [event for _, fields in entries for event in decode_frame(fields[b"z"])]


def test_the_trace_is_whole_and_its_licence_note_lies_beside_it(calls):
    assert len(calls) == 8819
    assert sum(call.prompt_tokens for call in calls) == 18_059_974
    assert "CC-BY-4.0" in (TRACE_PATH.parent / "README.md").read_text()


def test_calls_arrive_with_their_tokens_and_at_their_pace(producer, calls, redis_url):
    began = datetime.now(UTC)
    sent = list(itertools.islice(replay(producer, calls, 100.0, threading.Event()), 20))
    took = (datetime.now(UTC) - began).total_seconds()
    producer.flush(5)
    events = queued_events(redis_url)

    assert took == pytest.approx(calls[19].seconds / 100, abs=0.3)
    assert [event.id for event in events] == [one.id for one in sent]
    for event, call in zip(events, calls, strict=False):
        assert (event.prompt_tokens, event.completion_tokens) == (call.prompt_tokens, call.completion_tokens)
        assert event.created_at - events[0].created_at == timedelta(seconds=call.seconds / 100)
    assert began <= events[0].created_at <= datetime.now(UTC)


def test_when_the_trace_ends_it_begins_again_with_times_that_go_on(producer, calls):
    sent = list(itertools.islice(replay(producer, calls[:3], 1000.0, threading.Event()), 9))

    assert [one.created_at for one in sent] == sorted(one.created_at for one in sent)
    assert len({one.id for one in sent}) == 9


def test_stop_ends_it_at_once(producer, calls):
    stop = threading.Event()
    began = time.monotonic()
    stream = replay(producer, calls, 0.001, stop)
    next(stream)
    threading.Timer(0.05, stop.set).start()

    assert list(stream) == []
    assert time.monotonic() - began < 2


def test_what_was_accepted_is_told_exactly(producer, calls, redis_url, tmp_path):
    for _ in itertools.islice(replay(producer, calls, 1_000_000.0, threading.Event()), 1000):
        pass
    write_tally(tmp_path, producer, [1.5])
    tally = read_tallies(tmp_path)
    meter = FlowMeter(redis_url)

    assert (tally.accepted, tally.dropped, tally.visible_ms) == (1000, 0, [1.5])
    assert meter.depth() == 1000
    assert "written 0 (0/s)  dead letters 0  queue 1,000  lag" in meter.line()
    meter.close()


def test_a_redis_that_is_away_is_told_in_the_line():
    meter = FlowMeter("redis://127.0.0.1:1/0")

    assert "Redis does not answer" in meter.line()
    assert meter.depth() is None
    meter.close()
