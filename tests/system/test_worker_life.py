"""A worker from its start to its end, with real processes and real signals."""

import json
import signal
import time
from pathlib import Path

import psycopg
import pytest
import redis

from log_events.event_queue import EventQueue
from log_events.keys import GROUP
from log_events.wire import encode_frame
from logs_db.environment import ENVIRONMENT
from servers.ports import free_port
from servers.postgres import PostgresServer
from tests.fixtures.logs import system_event, wait_until

EVENTS_PER_FRAME = 100


@pytest.fixture
def queue(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueue(client)


def fill(queue: EventQueue, events: int) -> None:
    for _ in range(events // EVENTS_PER_FRAME):
        queue.admit(encode_frame([system_event() for _ in range(EVENTS_PER_FRAME)]), EVENTS_PER_FRAME)


def count_and_distinct(url: str) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*), count(DISTINCT id) FROM system_logs").fetchone()


def test_a_worker_brings_an_empty_database_to_head_and_moves_what_waits(database_url, redis_url, queue, start_worker):
    fill(queue, 1000)

    worker = start_worker(LOGS_DATABASE_URL=database_url, REDIS_URL=redis_url)
    wait_until(lambda: queue.depth().events == 0)

    assert count_and_distinct(database_url) == (1000, 1000)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM logs_alembic_version").fetchone() == (ENVIRONMENT.head,)
    assert worker.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_finishes_its_batch_and_leaves_nothing_pending(
    logs_database_url, redis_url, queue, start_worker, number
):
    fill(queue, 20_000)
    worker = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    wait_until(lambda: queue.depth().in_flight_entries)

    worker.send_signal(number)

    assert worker.wait(15) == 0
    depth = queue.depth()
    assert depth.in_flight_entries == 0
    rows, distinct = count_and_distinct(logs_database_url)
    assert rows == distinct == 20_000 - depth.events
    assert queue.client.xinfo_consumers(queue.keys.stream, GROUP) == []
    assert queue.heartbeats() == []


def test_killed_again_and_again_a_worker_loses_nothing_and_doubles_nothing(
    logs_database_url, redis_url, queue, start_worker
):
    fill(queue, 40_000)
    for _ in range(4):
        worker = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
        before = queue.depth().events
        wait_until(lambda before=before: queue.depth().events < before)
        worker.kill()
        worker.wait()

    start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    wait_until(lambda: queue.depth().events == 0)

    assert count_and_distinct(logs_database_url) == (40_000, 40_000)


def test_a_worker_waits_for_a_postgresql_that_comes_late(tmp_path, redis_url, queue, start_worker):
    with PostgresServer.start(tmp_path / "postgres", durable=False) as server:
        url = server.create_database("logs")
    worker = start_worker(LOGS_DATABASE_URL=url, REDIS_URL=redis_url, LOGS_MIGRATION_ATTEMPTS="50")
    fill(queue, 100)
    wait_until(lambda: "attempt" in worker.log.read_text())

    with PostgresServer.start(tmp_path / "postgres", durable=False, port=server.port):
        wait_until(lambda: queue.depth().events == 0)

        assert count_and_distinct(url) == (100, 100)


def test_a_postgresql_that_never_comes_ends_the_worker_with_75(redis_url, start_worker):
    url = f"postgresql://u:s3cret-word@127.0.0.1:{free_port()}/logs"

    worker = start_worker(LOGS_DATABASE_URL=url, REDIS_URL=redis_url)

    assert worker.wait(20) == 75
    assert "s3cret-word" not in worker.log.read_text()


def test_a_wrong_password_ends_the_worker_with_70_at_once(postgres, database_url, redis_url, start_worker):
    url = database_url.replace("://", "://", 1)
    user, _, rest = url.partition("@")
    wrong = f"{user.rpartition(':')[0]}:s3cret-word@{rest}"
    started = time.monotonic()

    worker = start_worker(LOGS_DATABASE_URL=wrong, REDIS_URL=redis_url, LOGS_MIGRATION_DELAY_SECONDS="30")

    assert worker.wait(20) == 70
    assert time.monotonic() - started < 10
    log = worker.log.read_text()
    assert "password authentication failed" in log
    assert "s3cret-word" not in log


def test_wrong_settings_are_told_all_together_without_any_password(start_worker):
    worker = start_worker(LOGS_DATABASE_URL="mysql://u:s3cret-word@h/d", LOG_THREAD_POOL_SIZE="many")

    assert worker.wait(20) == 2
    log = worker.log.read_text()
    assert all(name in log for name in ("LOGS_DATABASE_URL", "REDIS_URL", "LOG_THREAD_POOL_SIZE"))
    assert "s3cret-word" not in log


def test_a_lost_group_is_made_again_and_what_was_pending_is_not_doubled(
    logs_database_url, redis_url, queue, start_worker
):
    start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    fill(queue, 100)
    wait_until(lambda: queue.depth().events == 0)

    queue.client.xgroup_destroy(queue.keys.stream, GROUP)
    fill(queue, 100)
    wait_until(lambda: queue.depth().events == 0)

    assert count_and_distinct(logs_database_url) == (200, 200)


def test_a_worker_on_a_database_ahead_of_it_and_incompatible_stops(logs_database_url, redis_url, queue, start_worker):
    worker = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    wait_until(lambda: any(seen.report.state == "running" for seen in queue.heartbeats()))
    with psycopg.connect(logs_database_url) as connection:
        connection.execute("UPDATE logs_alembic_version SET version_num = 'ffffffffffff'")
        connection.execute("UPDATE migrator.compatibility_floor SET floor = 'ffffffffffff'")

    assert worker.wait(20) == 75
    assert "schema_outdated" in worker.log.read_text()


def test_the_heartbeat_tells_revision_progress_and_rows(logs_database_url, redis_url, queue, start_worker):
    start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    fill(queue, 100)

    wait_until(lambda: any(seen.report.rows_written == 100 for seen in queue.heartbeats()))

    report = queue.heartbeats()[0].report
    assert (report.state, report.revision) == ("running", ENVIRONMENT.head)
    assert report.last_write_at is not None
    assert json.dumps(report.name)
    assert Path("/proc", str(report.pid)).exists()
