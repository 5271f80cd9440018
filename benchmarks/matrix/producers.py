"""Producers under test: processes that note what they were promised, and stop at a named point."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import redis

from benchmarks.matrix.events import events_of, keys_in, pushed_of
from benchmarks.matrix.line import Line, Tap, wrap
from benchmarks.matrix.points import (
    AFTER_FSYNC,
    AFTER_LPUSH,
    AFTER_XADD,
    ANY_MOMENT_DRAINING,
    BEFORE_FSYNC,
    DRAINED,
    DRAINING,
    Point,
)
from log_events.event_queue import EventQueue
from log_events.producer import Producer
from log_events.producer_settings import ProducerSettings
from log_events.redis_client import redis_client
from log_events.spool import Spool
from log_events.spool_segment import SegmentWriter
from log_events.wire import encode_frame

FLUSH_SECONDS = 0.05
CLOSE_SECONDS = 10.0
PUSHED_TOGETHER = 5


@dataclass(frozen=True, kw_only=True)
class ProducerPlan:
    """What a producer does."""

    run: str
    redis_url: str
    point: Point | None = None
    passes: int = 1
    spool_folder: str | None = None
    queue_max_bytes: int
    backlog: int = 0
    """Frames that are in the queue before the producer is made."""
    bursts: int = 8
    events_a_burst: int = 20
    padding: int = 0
    mutation: Callable[[], None] | None = None
    """Breaks the product on purpose, in this process."""


def produce(plan: ProducerPlan, connection: Connection) -> None:
    """Send bursts of events through a `Producer`; note what XADD answered for and what is synced in the spool."""
    line = Line(connection)
    _begin(plan, line)
    events = events_of(plan.run, plan.padding)
    queue = EventQueue(_client(plan))
    for _ in range(plan.backlog):
        queue.admit(encode_frame(list(islice(events, plan.events_a_burst))), plan.events_a_burst, llm_logs=4)
    line.say("filled")
    line.wait_for("start")
    settings = ProducerSettings(
        redis_url=plan.redis_url,
        spool_folder=plan.spool_folder,
        queue_max_bytes=plan.queue_max_bytes,
        flush_interval_seconds=0.002,
    )
    producer = Producer(settings)
    producer.start()
    for _ in range(plan.bursts):
        for event in islice(events, plan.events_a_burst):
            producer.emit(event)
        producer.flush(FLUSH_SECONDS)
    line.say("sent", (plan.backlog + plan.bursts) * plan.events_a_burst)
    line.wait_for("end")
    line.say("closed", producer.close(CLOSE_SECONDS))


def push(plan: ProducerPlan, connection: Connection) -> None:
    """Push events to the list, each once, whatever Redis answers; note those that LPUSH answered for."""
    line = Line(connection)
    tap = _begin(plan, line)
    client = _client(plan)
    events = pushed_of(plan.run)
    for _ in range(plan.bursts * plan.events_a_burst // PUSHED_TOGETHER):
        together = list(islice(events, PUSHED_TOGETHER))
        try:
            client.lpush("logs_queue", *together)
        except redis.RedisError:
            continue  # not accepted: it may be there or not
        line.say("accepted", keys_in(b" ".join(together)))
        tap.at(AFTER_LPUSH)
    line.say("sent")
    line.wait_for("end")
    line.say("closed", True)


def _begin(plan: ProducerPlan, line: Line) -> Tap:
    tap = Tap(line, plan.point, plan.passes)
    _record(line, tap)
    if plan.mutation is not None:
        plan.mutation()
    return tap


def _client(plan: ProducerPlan) -> redis.Redis:
    return redis_client(plan.redis_url, connect_timeout_seconds=2.0, answer_timeout_seconds=5.0)


def _record(line: Line, tap: Tap) -> None:
    in_hand = threading.local()

    def admit(original: Callable[..., bytes], queue: EventQueue, frame: bytes, *rest: Any, **options: Any) -> bytes:
        entry_id = original(queue, frame, *rest, **options)
        line.say("accepted", keys_in(frame))
        tap.at(AFTER_XADD)
        return entry_id

    def append(original: Callable[..., None], spool: Spool, frame: bytes, *rest: Any) -> None:
        in_hand.frame = frame
        original(spool, frame, *rest)

    def sync(original: Callable[..., None], segment: SegmentWriter) -> None:
        tap.at(BEFORE_FSYNC)
        original(segment)
        line.say("accepted", keys_in(in_hand.frame))
        tap.at(AFTER_FSYNC)

    def deliver_next(original: Callable[..., bool], spool: Spool, deliver: Callable[..., None]) -> bool:
        def deliver_tapped(*frame: Any) -> None:
            tap.at(DRAINING)
            tap.at(ANY_MOMENT_DRAINING)
            deliver(*frame)
            tap.at(DRAINED)

        return original(spool, deliver_tapped)

    wrap(EventQueue, "admit", admit)
    wrap(Spool, "append", append)
    wrap(SegmentWriter, "sync", sync)
    wrap(Spool, "deliver_next", deliver_next)
