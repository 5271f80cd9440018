"""How a worker ends: in its own time, by its deadline where a server hangs, and never with a loss."""

import json
import signal
import time

import psycopg
import pytest
import redis

from log_events.event_queue import EventQueue
from log_events.wire import encode_frame
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.obstacles import blocked, count, locked


@pytest.fixture
def queue(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueue(client)


def test_a_worker_whose_database_hangs_ends_by_its_deadline_and_the_next_one_writes_what_it_left(
    logs_database_url, redis_url, queue, start_worker
):
    environment = {"LOGS_DATABASE_URL": logs_database_url, "REDIS_URL": redis_url}
    worker = start_worker(**environment, LOGS_WORKER_STOP_SECONDS="0.5")
    wait_until(lambda: any(seen.report.state == "running" for seen in queue.heartbeats()))
    with locked(logs_database_url):
        queue.admit(encode_frame([system_event() for _ in range(50)]), 50)
        wait_until(lambda: blocked(logs_database_url))
        worker.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        wait_until(lambda: any(seen.report.state == "stopping" for seen in queue.heartbeats()) or worker.poll())

        assert worker.wait(20) == 75
        assert time.monotonic() - told_at >= 0.5
    assert "stop_deadline" in worker.log.read_text()
    assert queue.depth().in_flight_entries == 1

    start_worker(**environment)
    wait_until(lambda: queue.depth().events == 0)
    assert count(logs_database_url) == 50


def test_a_worker_stopped_while_its_database_is_away_says_that_something_is_left(
    logs_database_url, redis_url, queue, start_worker
):
    worker = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    wait_until(lambda: any(seen.report.state == "running" for seen in queue.heartbeats()))
    with psycopg.connect(logs_database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE dead_letters ADD CONSTRAINT ck_none CHECK (false)")
        queue.client.lpush("logs_queue", json.dumps({"type": "unknown"}))
        wait_until(lambda: any(seen.report.state == "waiting_for_postgres" for seen in queue.heartbeats()))

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(20) == 75
    assert "stop_deadline" not in worker.log.read_text()
    assert queue.depth().in_flight_entries == 1
