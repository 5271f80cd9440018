"""
From emit to visible: how long after `logger.info(...)` its row is committed, at several rates of events a second.

The producer is a process of its own and so is the worker; servers are durable.  Each row's commit time is
PostgreSQL's own (`track_commit_timestamp`), its emit time is its `created_at`, both by this machine's one clock.
HEADHUNTER_BENCH_SECONDS is how long each rate is kept up.  Goal: p99 at most 250 ms at 10,000 events/s.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import redis

from benchmarks.ingest.workers import await_running, running_workers
from log_events.event_queue import EventQueue
from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.producer_settings import ProducerSettings
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from servers.valkey import RedisServer

RATES = (100, 1_000, 10_000, 50_000)
SECONDS = float(os.environ.get("HEADHUNTER_BENCH_SECONDS", "10"))
TICK_SECONDS = 0.005
DRAIN_SECONDS = 120.0

_LATENCIES = """
SELECT count(*), percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY late), max(late)
FROM (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - created_at) * 1000 AS late FROM system_logs) AS rows
"""


def main() -> None:
    """Keep up each rate in turn, print its percentiles, and fail if rows differ from events."""
    figures = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer.start(Path(folder) / "postgres", settings={"track_commit_timestamp": "on"}) as postgres,
        RedisServer.start(Path(folder) / "redis") as queue_server,
        redis.Redis.from_url(queue_server.url) as client,
    ):
        url, queue = postgres.create_database("logs"), EventQueue(client)
        upgrade_to_head(ENVIRONMENT, url)
        with running_workers(url, queue_server.url, 1):
            await_running(queue, 1)
            for rate in RATES:
                figures[rate] = _measure(url, queue_server.url, queue, rate)
    print(json.dumps({f"emit_to_visible_{rate}_ms": values for rate, values in figures.items()}))


def _measure(url: str, redis_url: str, queue: EventQueue, rate: int) -> list[float]:
    """Milliseconds of p50, p99 and the longest at *rate*."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE system_logs")
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "benchmarks.latency", redis_url, str(rate)], check=True)
        seconds = time.monotonic() - started
        _await_empty(queue)
        row = connection.execute(_LATENCIES).fetchone()
    rows, (p50, p99), longest = row or (0, (0, 0), 0)
    if rows != int(rate * SECONDS):
        raise SystemExit(f"{rows} rows of {int(rate * SECONDS)} events: what was measured is worth nothing.")
    print(f"  {rate:6,}/s for {seconds:4.1f} s  p50 {p50:6.1f}  p99 {p99:6.1f}  longest {longest:6.1f} ms", flush=True)
    return [round(float(value), 1) for value in (p50, p99, longest)]


def _await_empty(queue: EventQueue) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while queue.depth().events:
        if time.monotonic() > deadline:
            raise SystemExit(f"The queue was not empty after {DRAIN_SECONDS:g} s.")
        time.sleep(0.01)


def produce(redis_url: str, rate: int) -> None:
    """Log *rate* lines a second, evenly, for SECONDS; the lines of a tick go out together."""
    producer = Producer(ProducerSettings(redis_url=redis_url))
    logger = logging.getLogger("latency")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(LogHandler(producer=producer))
    started, sent = time.monotonic(), 0
    while sent < rate * SECONDS:
        due = min(int((time.monotonic() - started) * rate), int(rate * SECONDS))
        for number in range(sent, due):
            logger.info("event %s %s", number, "x" * 250)
        sent = due
        time.sleep(TICK_SECONDS)
    producer.close(DRAIN_SECONDS)


if __name__ == "__main__":
    produce(sys.argv[1], int(sys.argv[2]))
