"""
Kills a worker with SIGKILL amid 200,000 events, 20 times: rows + dead letters must equal what was accepted.

Servers fully durable. One event in 100 is bad and must end as a dead letter; accepted is what XADD answered.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import redis

from log_events.event_queue import EventQueue
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import join_frame
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from servers.valkey import RedisServer

EVENTS = 200_000
EVENTS_PER_FRAME = 100
KILLS = 20

_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode


def main() -> None:
    """Run once and print what was accepted, what is there, and what is there twice."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer.start(Path(folder) / "postgres") as postgres,
        RedisServer.start(Path(folder) / "redis") as queue_server,
        redis.Redis.from_url(queue_server.url) as client,
    ):
        url = postgres.create_database("logs")
        upgrade_to_head(ENVIRONMENT, url)
        queue = EventQueue(client)
        accepted = sum(_admit(queue, number) for number in range(EVENTS // EVENTS_PER_FRAME))
        kills = _kill_again_and_again(queue, url, queue_server.url)
        _drain(queue, url, queue_server.url)
        rows, distinct, dead = _counts(url)
    print(f"  accepted {accepted:,}, kills {kills}, rows {rows:,} (distinct {distinct:,}), dead letters {dead:,}")
    print(f"  lost {accepted - rows - dead}, doubled {rows - distinct}")


def _admit(queue: EventQueue, number: int) -> int:
    """Send one frame, its first event with a level that nobody knows; return how many events were accepted."""
    good = [
        SystemLogEvent(id=uuid7(), created_at=datetime.now(UTC), level="INFO", component="c", message=f"event {number}")
        for _ in range(EVENTS_PER_FRAME - 1)
    ]
    bad = _encode([1, uuid7().bytes, datetime.now(UTC), "LOUD", "c", "m"])
    queue.admit(join_frame([bad, *map(_encode, good)]), EVENTS_PER_FRAME)
    return EVENTS_PER_FRAME


def _kill_again_and_again(queue: EventQueue, url: str, redis_url: str) -> int:
    """Start a worker and kill it at a random moment while it writes, KILLS times; return how often it was at work."""
    chance = random.Random(1)
    at_work = 0
    for _ in range(KILLS):
        worker = _worker(url, redis_url)
        while not queue.depth().in_flight_entries and worker.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.05))
        at_work += worker.poll() is None and queue.depth().events > 0
        worker.kill()
        worker.wait()
    return at_work


def _drain(queue: EventQueue, url: str, redis_url: str) -> None:
    worker = _worker(url, redis_url)
    while queue.depth().events:
        time.sleep(0.01)
    worker.terminate()
    worker.wait()


def _worker(url: str, redis_url: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"LOGS_DATABASE_URL": url, "REDIS_URL": redis_url}
    return subprocess.Popen([sys.executable, "-m", "headhunter", "worker"], env=environment, stderr=subprocess.DEVNULL)


def _counts(url: str) -> tuple[int, int, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM dead_letters) FROM system_logs"
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]
