"""
Takes PostgreSQL away for N seconds (60, or HEADHUNTER_BENCH_SECONDS) under 2,000 events a second, then Redis for as
long: memory of producer and worker, spool and queue over time, catch-up rates.  Fails where an event is lost or dead.

Away is SIGKILL; the server comes back on the same port and data.  What arrived is read from the tables.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg
import redis

from benchmarks.ingest.paced_producer import EVENTS_PER_SECOND, PacedProducer, paced_producer, resident_mib
from benchmarks.ingest.workers import await_running, running_workers
from log_events.event_queue import EventQueue
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.ports import free_port
from servers.postgres import PostgresServer
from servers.valkey import RedisServer

SECONDS = float(os.environ.get("HEADHUNTER_BENCH_SECONDS", "60"))
AROUND_SECONDS = 10.0
"""How long the producer logs before, between and after."""
SAMPLES = 6

Server = TypeVar("Server", PostgresServer, RedisServer)


class Watch:
    """Prints a line a sample: memory of both processes, spool and queue."""

    def __init__(self, producer: PacedProducer, worker_pid: int, queue: EventQueue) -> None:
        self._producer, self._worker_pid, self._queue = producer, worker_pid, queue

    def follow(self, seconds: float) -> None:
        """Return after *seconds* and SAMPLES lines."""
        began = time.monotonic()
        for sample in range(1, SAMPLES + 1):
            time.sleep(max(0.0, began + seconds * sample / SAMPLES - time.monotonic()))
            print(
                f"{seconds * sample / SAMPLES:7.0f} {resident_mib(self._producer.process.pid):8.1f} MiB"
                f" {resident_mib(self._worker_pid):8.1f} MiB {self._producer.spool_bytes() / 1e6:8.1f} MB"
                f" {self._queued():>9}",
                flush=True,
            )

    def _queued(self) -> str:
        try:
            return str(self._queue.depth().events)
        except redis.RedisError:
            return "away"

    def until_caught_up(self, waiting: int) -> float:
        """Events a second at which *waiting* ones and all that came meanwhile were written."""
        began = time.monotonic()
        while self._queued() == "away" or int(self._queued()) > EVENTS_PER_SECOND or self._producer.spool_bytes():
            time.sleep(0.02)
        seconds = time.monotonic() - began
        return waiting / seconds + EVENTS_PER_SECOND


def main() -> None:
    """Run both outages one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder, ports = Path(name), (free_port(), free_port())
        postgres = PostgresServer.start(folder / "postgres", port=ports[0])
        queue_server = RedisServer.start(folder / "redis", port=ports[1])
        url, redis_url = postgres.create_database("logs"), queue_server.url
        upgrade_to_head(ENVIRONMENT, url)
        seconds = 2 * SECONDS + 3 * AROUND_SECONDS
        with (
            redis.Redis.from_url(redis_url) as client,
            running_workers(url, redis_url, 1) as (worker_pid,),
            paced_producer(redis_url, folder / "spool", seconds) as producer,
        ):
            watch = Watch(producer, worker_pid, EventQueue(client))
            await_running(EventQueue(client), 1)
            time.sleep(AROUND_SECONDS)
            postgres.kill()
            postgres, after_postgres = _outage(
                "PostgreSQL", watch, lambda: PostgresServer.start(folder / "postgres", port=ports[0])
            )
            time.sleep(AROUND_SECONDS)
            queue_server.kill()
            queue_server, after_redis = _outage(
                "Redis", watch, lambda: RedisServer.start(folder / "redis", port=ports[1])
            )
            figures = producer.what_it_sent() | producer.close()
            watch.until_caught_up(0)
            _await_empty(EventQueue(client))
        rows, distinct, dead = _counts(url)
        queue_server.stop()
        postgres.stop()
    figures |= {"rows": rows, "twice": rows - distinct, "dead_letters": dead}
    figures |= {"catch_up_after_postgres": round(after_postgres), "catch_up_after_redis": round(after_redis)}
    print(json.dumps({f"outages_{key}": value for key, value in figures.items()}))
    if figures["dropped"] or dead or not rows == distinct == figures["sent"]:
        sys.exit("events were lost, doubled or dead")


def _outage(name: str, watch: Watch, start: Callable[[], Server]) -> tuple[Server, float]:
    print(f"{'second':>7} {'producer':>12} {'worker':>12} {'spool':>11} {'queue':>9}   {name} is away", flush=True)
    watch.follow(SECONDS)
    server = start()
    rate = watch.until_caught_up(int(SECONDS * EVENTS_PER_SECOND))
    print(f"{name} is back: caught up at {rate:,.0f} events/s", flush=True)
    return server, rate


def _await_empty(queue: EventQueue) -> None:
    while queue.depth().events:
        time.sleep(0.05)


def _counts(url: str) -> tuple[int, int, int]:
    """Rows, different ones of them, and dead letters."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM dead_letters) FROM system_logs"
        ).fetchone()
    return row or (0, 0, 0)


if __name__ == "__main__":
    main()
