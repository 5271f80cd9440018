"""Events as large, as many, and as fast as nobody should send them: the worker's memory and the others' events."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from log_events.event_queue import EventQueue
from log_events.wire import encode_frame
from tests.fixtures.logs import system_event, wait_until

MIB = 1024 * 1024
MOST_PEAK_MIB = 400

FLOOD = """
import sys, redis
client = redis.Redis.from_url(sys.argv[1])
value = b'{"type":"system_log","level":"INFO","component":"flood","message":"' + b"x" * 400 + b'"}'
print("flooding", flush=True)
while True:
    client.lpush("logs_queue", *[value] * 500)
"""


@pytest.fixture
def queue(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueue(client)


@pytest.fixture
def worker(logs_database_url, redis_url, queue, start_worker):
    started = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    wait_until(lambda: any(seen.report.state == "running" for seen in queue.heartbeats()))
    return started


def peak_mib(process: subprocess.Popen) -> float:
    status = Path("/proc", str(process.pid), "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def count(url: str, where: str = "true") -> int:
    with psycopg.connect(url) as connection:
        return connection.execute(f"SELECT count(*) FROM system_logs WHERE {where}").fetchone()[0]


def test_events_of_64_megabytes_by_both_doors_are_dead_letters_and_memory_stays_bounded(
    logs_database_url, queue, worker
):
    queue.admit(encode_frame([system_event(message="x" * 64 * MIB)]), 1)
    queue.client.lpush("logs_queue", json.dumps({"type": "system_log", "message": "y" * 64 * MIB}))
    queue.admit(encode_frame([system_event()]), 1)

    wait_until(lambda: not queue.client.exists("logs_queue", queue.keys.waiting))

    assert count(logs_database_url) == 1
    with psycopg.connect(logs_database_url) as connection:
        found = connection.execute("SELECT reason, size_bytes > %s, length(raw) FROM dead_letters", (64 * MIB,))
        assert found.fetchall() == [("too_large", True, 64 * 1024)] * 2
    assert peak_mib(worker) < MOST_PEAK_MIB


def test_100_000_tiny_events_in_one_entry_are_rows_and_memory_stays_bounded(logs_database_url, queue, worker):
    queue.admit(encode_frame([system_event() for _ in range(100_000)]), 100_000)

    wait_until(lambda: queue.depth().events == 0, seconds=60)

    assert count(logs_database_url) == 100_000
    assert peak_mib(worker) < MOST_PEAK_MIB


def test_whoever_floods_the_list_takes_neither_memory_nor_the_other_door(logs_database_url, queue, worker, redis_url):
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, redis_url], stdout=subprocess.PIPE)
    try:
        flood.stdout.readline()
        wait_until(lambda: count(logs_database_url, "component = 'flood'") > 1000)
        for _ in range(20):
            queue.admit(encode_frame([system_event(component="other") for _ in range(50)]), 50)
            time.sleep(0.02)
        wait_until(lambda: count(logs_database_url, "component = 'other'") == 1000)
        assert flood.poll() is None
        assert queue.depth().list_events > 0
    finally:
        flood.kill()
        flood.communicate()
        queue.client.delete("logs_queue")
    assert peak_mib(worker) < MOST_PEAK_MIB
