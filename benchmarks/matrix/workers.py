"""Workers under test: the product's own, stopped at a named point, and one that pops first and writes then."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psycopg
import redis
from pydantic import SecretStr

import worker.lane
import worker.receive
import worker.store
import worker.write
from benchmarks.matrix.line import Line, Tap, wrap
from benchmarks.matrix.points import (
    AFTER_ACKNOWLEDGEMENT,
    AFTER_BRIDGE,
    AFTER_CLAIM,
    AFTER_COMMIT,
    AFTER_READ,
    ANY_MOMENT,
    BEFORE_ACKNOWLEDGEMENT,
    BEFORE_BRIDGE,
    BEFORE_COMMIT,
    CHECKED_COMMIT,
    IN_COPY,
    Point,
)
from log_events.event_queue import Bridged, EventQueue
from worker.receive import Receiver
from worker.run import run
from worker.settings import WorkerSettings

AMID_ROWS = 9
"""Of a COPY: padded, they are more than the client keeps before it sends."""
SHORTEST_IDLE_SECONDS = 0.05
CLAIM_EVERY_SECONDS = 0.1
"""How soon a worker takes over what a dead one left; the product's own times are longer, and only cost time here."""
PAUSE_SECONDS = 0.002
INSERT = "INSERT INTO system_logs (level, component, message, error_type) VALUES (%s, %s, %s, %s)"


@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """What a worker works on, and where it stops."""

    database_url: str
    redis_url: str
    point: Point | None = None
    passes: int = 1
    threads: int = 2
    mutation: Callable[[], None] | None = None
    """Breaks the product on purpose, in this process."""


def work(plan: WorkerPlan, connection: Connection) -> None:
    """Be a whole worker, from its start-up to its end."""
    line = Line(connection)
    _stop_at(Tap(line, plan.point, plan.passes))
    worker.receive.SHORTEST_IDLE_SECONDS = SHORTEST_IDLE_SECONDS
    worker.lane.CLAIM_EVERY_SECONDS = CLAIM_EVERY_SECONDS
    if plan.mutation is not None:
        plan.mutation()
    settings = WorkerSettings(
        logs_database_url=SecretStr(plan.database_url),
        redis_url=SecretStr(plan.redis_url),
        log_thread_pool_size=plan.threads,
        logs_migration_attempts=200,
        logs_migration_delay_seconds=0.05,
    )
    line.say("ended", run(settings))


def pop_and_write(plan: WorkerPlan, connection: Connection) -> None:
    """Do as the worker before this product did: RPOP, then INSERT, one event after another."""
    line = Line(connection)
    tap = Tap(line, plan.point, plan.passes)
    client = redis.Redis.from_url(plan.redis_url)
    database: psycopg.Connection[Any] | None = None
    pause = threading.Event()
    while True:
        try:
            raw: Any = client.rpop("logs_queue")
        except redis.RedisError:
            raw = None
        if raw is None:
            if line.told["end"].is_set():
                break
            pause.wait(PAUSE_SECONDS)
            continue
        tap.at(AFTER_READ)
        try:
            database = database or psycopg.connect(plan.database_url, autocommit=True)
            _insert(database, raw, tap)
        except psycopg.Error:
            database = None  # the legacy worker noted the error and took the next event
    line.say("ended", 0)


def _insert(database: psycopg.Connection[Any], raw: bytes, tap: Tap) -> None:
    event = json.loads(raw)
    text = event.get("message") or event.get("prompt")
    component = event.get("component") or event.get("model")
    with database.transaction():
        database.execute(INSERT, ("INFO", component, text, None))
        tap.at(BEFORE_COMMIT)
    tap.at(AFTER_COMMIT)


def _stop_at(tap: Tap) -> None:
    _stop_while_reading(tap)
    _stop_while_writing(tap)
    _stop_while_bridging(tap)


def _stop_while_reading(tap: Tap) -> None:
    def receive(original: Callable[..., list[Any]], receiver: Receiver, **options: Any) -> list[Any]:
        entries = original(receiver, **options)
        if entries:
            tap.at(AFTER_READ)
            tap.at(ANY_MOMENT)
        return entries

    def claim(original: Callable[..., list[Any]], receiver: Receiver) -> list[Any]:
        groups = original(receiver)
        if groups:
            tap.at(AFTER_CLAIM)
        return groups

    def acknowledge(original: Callable[..., int], queue: EventQueue, entries: Iterable[Any]) -> int:
        tap.at(BEFORE_ACKNOWLEDGEMENT)
        acknowledged = original(queue, entries)
        tap.at(AFTER_ACKNOWLEDGEMENT)
        return acknowledged

    wrap(Receiver, "receive", receive)
    wrap(Receiver, "claim", claim)
    wrap(EventQueue, "acknowledge", acknowledge)


def _stop_while_writing(tap: Tap) -> None:
    of_batch = threading.local()

    def copy_rows(original: Callable[..., None], cursor: Any, statement: Any, types: Any, rows: Iterable[Any]) -> None:
        original(cursor, statement, types, _amid(rows, tap))

    def write_checked(original: Callable[..., Any], *args: Any, **options: Any) -> Any:
        of_batch.is_checked = True
        try:
            return original(*args, **options)
        finally:
            of_batch.is_checked = False

    def execute(original: Callable[..., Any], cursor: Any, query: Any, *rest: Any, **options: Any) -> Any:
        if query != "COMMIT":
            return original(cursor, query, *rest, **options)
        tap.at(CHECKED_COMMIT if getattr(of_batch, "is_checked", False) else BEFORE_COMMIT)
        committed = original(cursor, query, *rest, **options)
        tap.at(AFTER_COMMIT)
        return committed

    wrap(worker.store, "copy_rows", copy_rows)
    wrap(worker.write, "write_checked", write_checked)
    wrap(psycopg.Cursor, "execute", execute)


def _amid(rows: Iterable[Any], tap: Tap) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if number == AMID_ROWS:
            tap.at(IN_COPY)
        yield row


def _stop_while_bridging(tap: Tap) -> None:
    def bridge(original: Callable[..., Bridged], queue: EventQueue, **options: Any) -> Bridged:
        if queue.client.llen(queue.keys.list):
            tap.at(BEFORE_BRIDGE)
        bridged = original(queue, **options)
        if bridged.events:
            tap.at(AFTER_BRIDGE)
        return bridged

    wrap(EventQueue, "bridge", bridge)
