"""Servers that are full, restarted, emptied or neglected under a worker: it goes on with no hand."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis

from api.ledger_balance import read_balance
from log_events.event_queue import EventQueue
from log_events.uuid7 import uuid7
from log_events.wire import encode_frame
from servers.postgres import PostgresServer
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.obstacles import blocked, count, fill_up, locked


@pytest.fixture
def queue(any_redis_url):
    with redis.Redis.from_url(any_redis_url) as client:
        yield EventQueue(client)
        client.config_set("maxmemory", 0)


def admit(queue: EventQueue, frames: int, component: str = "c") -> None:
    for _ in range(frames):
        queue.admit(encode_frame([system_event(component=component) for _ in range(50)]), 50)


def test_a_full_redis_drains_with_no_hand_while_its_workers_go_on_beating(
    logs_database_url, any_redis_url, queue, start_worker
):
    start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=any_redis_url)
    wait_until(lambda: any(seen.report.state == "running" for seen in queue.heartbeats()))
    wait_until(lambda: queue.client.exists(queue.keys.stream))
    with locked(logs_database_url):
        accepted = fill_up(queue, 4_000_000)
        wait_until(lambda: blocked(logs_database_url))
        queue.client.config_set("maxmemory", queue.client.info("memory")["used_memory"] // 2)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            queue.client.set("anything", "x")
        beats = queue.client.hvals(queue.keys.workers)
        wait_until(lambda: queue.client.hvals(queue.keys.workers) not in ([], beats))
        assert [seen.report.state for seen in queue.heartbeats()] == ["running"]

    wait_until(lambda: queue.depth().events == 0)

    assert count(logs_database_url, "system_logs WHERE component = 'c' AND message = 'm'") > 0
    assert count(logs_database_url, "dead_letters WHERE reason <> 'conflict'") == 0
    with psycopg.connect(logs_database_url) as connection:
        balance = read_balance(queue, connection)
    assert (balance.accepted, balance.imbalance) == (accepted, 0)


def test_a_worker_goes_on_where_redis_is_emptied_in_the_middle_of_its_work(
    logs_database_url, any_redis_url, queue, start_worker
):
    start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=any_redis_url)
    admit(queue, 200)
    wait_until(lambda: count(logs_database_url) > 0)

    queue.client.flushall()
    admit(queue, 20, "after")
    wait_until(lambda: count(logs_database_url, "system_logs WHERE component = 'after'") == 1000)
    queue.client.delete(queue.keys.stream)
    admit(queue, 20, "again")
    wait_until(lambda: count(logs_database_url, "system_logs WHERE component = 'again'") == 1000)

    wait_until(lambda: queue.depth().stream_events == 0)
    assert queue.depth().stream_bytes == 0
    assert count(logs_database_url, "dead_letters") == 0
    with psycopg.connect(logs_database_url) as connection:
        assert read_balance(queue, connection).imbalance == 0


def test_a_worker_goes_on_where_postgresql_is_restarted_in_the_middle_of_its_work(tmp_path, redis_url, start_worker):
    queue = EventQueue(redis.Redis.from_url(redis_url))
    with PostgresServer.start(tmp_path / "postgres", durable=False) as server:
        url = server.create_database("logs")
        start_worker(LOGS_DATABASE_URL=url, REDIS_URL=redis_url)
        admit(queue, 200)
        wait_until(lambda: queue.depth().events < 10_000)
    wait_until(lambda: queue.heartbeats()[0].report.state == "waiting_for_postgres")
    admit(queue, 20)

    with PostgresServer.start(tmp_path / "postgres", durable=False, port=server.port):
        wait_until(lambda: queue.depth().events == 0)
        assert (count(url), count(url, "dead_letters")) == (11_000, 0)
    queue.client.close()


def test_after_seven_days_without_maintenance_every_event_of_them_becomes_a_row(
    logs_database_url, redis_url, start_worker, logs_connection
):
    for table in ("system_logs", "llm_logs"):
        partitions = logs_connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (table,)
        ).fetchall()
        for (partition,) in partitions:
            logs_connection.execute(f"DROP TABLE {partition}")
    queue = EventQueue(redis.Redis.from_url(redis_url))
    for days in range(7, -1, -1):
        moment = datetime.now(UTC) - timedelta(days=days)
        milliseconds = int(moment.timestamp() * 1000)
        events = [system_event(id=uuid7(milliseconds), created_at=moment) for _ in range(50)]
        fields = {"v": "1", "n": "50", "l": "0", "g": "generation", "z": encode_frame(events)}
        queue.client.xadd(queue.keys.stream, fields, id=f"{milliseconds}-0")

    start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)
    wait_until(lambda: queue.client.xlen(queue.keys.stream) == 0)

    assert (count(logs_database_url), count(logs_database_url, "dead_letters")) == (400, 0)
    queue.client.close()
