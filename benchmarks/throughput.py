"""
Rows per second of one worker from a full queue, beside COPY of a prepared file into the same table.

Servers, tables, indexes and durability are as `make up` has them. Quote the ratio: machines differ, and are noisy.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import redis

from log_events.event_queue import EventQueue
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import encode_frame
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from servers.valkey import RedisServer

EVENTS = 200_000
EVENTS_PER_FRAME = 200
ROUNDS = 3
COLUMNS = "id, created_at, level, component, message, request_id, extra_data"


def main() -> None:
    """Measure in turns, and print each round and the median ratio."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer.start(Path(folder) / "postgres") as postgres,
        RedisServer.start(Path(folder) / "redis") as queue_server,
    ):
        url = postgres.create_database("logs")
        upgrade_to_head(ENVIRONMENT, url)
        rounds = [(_copy_rate(url), _worker_rate(url, queue_server.url)) for _ in range(ROUNDS)]
    for number, (copied, worked) in enumerate(rounds, 1):
        print(
            f"  round {number}: COPY {copied:9,.0f} rows/s, worker {worked:9,.0f} rows/s, ratio {worked / copied:.2f}"
        )
    ratio = statistics.median(worked / copied for copied, worked in rounds)
    print(
        json.dumps(
            {
                "copy_1_rows_per_second": round(statistics.median(copied for copied, _ in rounds)),
                "worker_1_rows_per_second": round(statistics.median(worked for _, worked in rounds)),
                "worker_1_of_copy_1": round(ratio, 2),
            }
        )
    )


def _events() -> list[SystemLogEvent]:
    return [
        SystemLogEvent(
            id=uuid7(),
            created_at=datetime.now(UTC),
            level="ERROR" if number % 50 == 0 else "INFO",
            component=f"component.{number % 20}",
            message=f"event {number} " + "x" * 250,
            request_id=f"request-{number}",
            extra_data=json.dumps({"attempt": number % 3, "queue": "default"}),
        )
        for number in range(EVENTS)
    ]


def _copy_rate(url: str) -> float:
    """Rows per second of one COPY of a file that is ready, committed as one transaction."""
    prepared = io.StringIO()
    for event in _events():
        row = (
            event.id,
            event.created_at,
            event.level,
            event.component,
            event.message,
            event.request_id,
            event.extra_data,
        )
        prepared.write("\t".join(map(str, row)) + "\n")
    data = prepared.getvalue().encode()
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE system_logs")
        connection.commit()
        started = time.perf_counter()
        with connection.cursor().copy(f"COPY system_logs ({COLUMNS}) FROM STDIN") as copy:
            for offset in range(0, len(data), 1 << 18):
                copy.write(data[offset : offset + (1 << 18)])
        connection.commit()
        return EVENTS / (time.perf_counter() - started)


def _worker_rate(url: str, redis_url: str) -> float:
    """Rows per second of a worker process, from its first commit's batch to the empty queue."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE system_logs")
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        queue = EventQueue(client)
        events = _events()
        for first in range(0, EVENTS, EVENTS_PER_FRAME):
            queue.admit(encode_frame(events[first : first + EVENTS_PER_FRAME]), EVENTS_PER_FRAME)
        seconds = _drain(queue, url, redis_url)
    with psycopg.connect(url) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM system_logs").fetchone() or (0,)
    assert rows == EVENTS, f"{rows} rows of {EVENTS} events"
    return EVENTS / seconds


def _drain(queue: EventQueue, url: str, redis_url: str) -> float:
    """Seconds from the first entry in flight to the last acknowledgement."""
    environment = os.environ | {"LOGS_DATABASE_URL": url, "REDIS_URL": redis_url}
    worker = subprocess.Popen(
        [sys.executable, "-m", "headhunter", "worker"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        while not queue.depth().in_flight_entries:
            time.sleep(0.001)
        started = time.perf_counter()
        while queue.depth().events:
            time.sleep(0.005)
        return time.perf_counter() - started
    finally:
        worker.terminate()
        worker.wait()
