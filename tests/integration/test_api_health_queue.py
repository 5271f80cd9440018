"""The checks of the queue and of producers, over a real Redis."""

import time

import pytest
import redis

from api.health import thresholds
from api.health.dependencies import Dependencies, probing_redis
from api.health.event_queue import check_queue
from api.health.producers import check_producers
from log_events.event_queue import EventQueue
from log_events.heartbeat import ProducerReport
from servers.valkey import RedisServer
from tests.fixtures.api import NOWHERE
from tests.fixtures.api_queue import enqueue_aged, frame


def test_an_empty_queue_passes(queue_dependencies):
    result = check_queue(queue_dependencies)

    assert (result.status, result.value, result.unit) == ("pass", 0, "events")


def test_both_doors_are_counted_in_events(queue_dependencies, event_queue):
    event_queue.admit(frame(events=5), 5)
    event_queue.client.lpush("logs_queue", "{}", "{}")

    result = check_queue(queue_dependencies)

    assert (result.status, result.value) == ("pass", 7)
    assert "2 in the list, 5 in the stream" in result.message


@pytest.mark.parametrize(("seconds", "status"), [(0, "pass"), (40, "warn"), (400, "fail")])
def test_the_age_of_the_oldest_event_decides(queue_dependencies, event_queue, seconds, status):
    enqueue_aged(event_queue, seconds)

    result = check_queue(queue_dependencies)

    assert result.status == status
    assert seconds == 0 or "oldest event has been waiting" in result.message


@pytest.mark.parametrize(("size", "status"), [(100, "pass"), (6_000, "warn"), (9_800, "fail")])
def test_a_queue_near_its_limit_is_told_before_it_refuses(queue_dependencies, event_queue, size, status):
    event_queue.admit(frame(size=size), 1)

    result = check_queue(queue_dependencies)

    assert result.status == status
    assert status == "pass" or "LOGS_QUEUE_MAX_BYTES" in result.message


def test_very_many_events_are_a_warning(queue_dependencies, event_queue):
    event_queue.client.set(event_queue.keys.events, thresholds.QUEUE_WARN_EVENTS + 1)

    assert check_queue(queue_dependencies).status == "warn"


@pytest.mark.parametrize(
    ("key", "kind"), [("logs_queue", "string"), ("{logs_queue}:stream", "string"), ("{logs_queue}:events", "list")]
)
def test_a_key_of_another_type_is_named_with_its_cure(queue_dependencies, event_queue, key, kind):
    event_queue.client.set(key, 1) if kind == "string" else event_queue.client.lpush(key, 1)

    result = check_queue(queue_dependencies)

    assert (result.status, result.value) == ("fail", None)
    assert f"{key} is a {kind}" in result.message
    assert f"RENAME {key}" in result.message


@pytest.mark.parametrize(("megabytes", "status"), [(0, "pass"), (8, "warn")])
def test_a_redis_that_runs_out_of_memory_is_told(tmp_path, megabytes, status):
    with RedisServer.start(tmp_path, durable=False, maxmemory_bytes=10_000_000) as server:
        settings = NOWHERE.settings(redis_url=server.url)
        with probing_redis(settings.redis_url) as client:
            for number in range(megabytes * 10):
                if client.info("memory")["used_memory"] < 8_500_000:
                    client.set(f"other {number}", b"x" * 100_000)
            result = check_queue(Dependencies(settings, EventQueue(client)))

    assert result.status == status
    assert status == "pass" or "of maxmemory" in result.message


def report(queue, name, **numbers):
    queue.report(ProducerReport(name=name, host="host", pid=1, service=f"{name}-service", **numbers))


def test_producers_that_lost_nothing_pass(queue_dependencies, event_queue):
    report(event_queue, "web", accepted_events=10, buffered_events=3)

    result = check_producers(queue_dependencies)

    assert (result.status, result.value) == ("pass", 0)
    assert "1 producers report, 3 events" in result.message


def test_dropped_events_are_counted_by_service(queue_dependencies, event_queue):
    report(event_queue, "web", dropped_events=5)
    report(event_queue, "cron", dropped_events=2)
    report(event_queue, "fine")

    result = check_producers(queue_dependencies)

    assert (result.status, result.value) == ("warn", 7)
    assert "web-service 5, cron-service 2" in result.message
    assert "fine" not in result.message


def test_full_buffers_are_a_warning_while_their_producer_lives(queue_dependencies, event_queue):
    report(event_queue, "web", buffered_events=thresholds.BUFFERED_WARN_EVENTS + 1)
    warned = check_producers(queue_dependencies)
    _, _, text = event_queue.client.hget(event_queue.keys.producers, "web").partition(b" ")
    event_queue.client.hset(event_queue.keys.producers, "web", f"{int((time.time() - 120) * 1000)} ".encode() + text)

    assert warned.status == "warn"
    assert check_producers(queue_dependencies).status == "pass"


def test_events_that_producers_keep_on_disk_are_told_once_a_host(queue_dependencies, event_queue):
    for name in ("web", "cron"):
        report(event_queue, name, spool_bytes=3 * 2**20)

    result = check_producers(queue_dependencies)

    assert result.status == "warn"
    assert "(3.0 MiB on host)" in result.message
    assert "none on disk" not in result.message


def test_a_redis_user_without_info_still_gets_the_queue_checked(queue_dependencies, event_queue, redis_url):
    event_queue.client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    url = redis_url.replace("redis://:", "redis://narrow:")
    with redis.Redis.from_url(url) as client:
        result = check_queue(Dependencies(queue_dependencies.settings, EventQueue(client)))
    event_queue.client.acl_deluser("narrow")

    assert result.status == "pass"
