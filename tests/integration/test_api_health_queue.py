"""Queue, workers, recent writes and producers, over a real Redis."""

import itertools
import time
from datetime import UTC, datetime

import pytest
import redis

from api.health import recent_writes, thresholds
from api.health.dependencies import Dependencies, probing_redis
from api.health.event_queue import check_queue
from api.health.producers import check_producers
from api.health.recent_writes import RecentWrites
from api.health.workers import check_workers
from log_events.event_queue import EventQueue
from log_events.heartbeat import ProducerReport, WorkerHeartbeat
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import encode_frame
from servers.valkey import RedisServer
from tests.fixtures.api import Stores

NOWHERE = "postgresql://app@127.0.0.1:1/none"
names = (f"host:{number}:boot" for number in itertools.count())


@pytest.fixture
def dependencies(event_queue, redis_url):
    settings = Stores(NOWHERE, NOWHERE + "2", redis_url).settings(logs_queue_max_bytes=10_000)
    queue = EventQueue(probing_redis(settings.redis_url))
    yield Dependencies(settings, queue)
    queue.client.close()


def frame(events=1, size=10):
    event = SystemLogEvent(uuid7(), datetime.now(UTC), "INFO", "c", "m" * size)
    return encode_frame([event] * events)


def enqueue_aged(queue, seconds):
    """Put one event into the stream that came some time ago."""
    stream_id = f"{int((time.time() - seconds) * 1000)}-0"
    queue.client.xadd(queue.keys.stream, {"v": 1, "n": 1, "z": frame()}, id=stream_id)
    queue.client.incr(queue.keys.events)


def beat(queue, *, age_seconds=0.0, stuck_seconds=0.0, wrote_seconds=None, state="running", message=""):
    """A worker's heartbeat as it would be found after *age_seconds*."""
    now = time.time()
    heartbeat = WorkerHeartbeat(
        name=next(names),
        host="host",
        pid=1,
        state=state,
        started_at=now - 7200,
        last_progress_at=now - stuck_seconds,
        last_write_at=None if wrote_seconds is None else now - wrote_seconds,
        message=message,
    )
    queue.beat(heartbeat)
    if age_seconds:
        _, _, text = queue.client.hget(queue.keys.workers, heartbeat.name).partition(b" ")
        stamp = str(int((now - age_seconds) * 1000)).encode()
        queue.client.hset(queue.keys.workers, heartbeat.name, stamp + b" " + text)
    return heartbeat.name


# Queue


def test_an_empty_queue_passes(dependencies):
    result = check_queue(dependencies)

    assert (result.status, result.value, result.unit) == ("pass", 0, "events")


def test_both_doors_are_counted_in_events(dependencies, event_queue):
    event_queue.admit(frame(events=5), 5)
    event_queue.client.lpush("logs_queue", "{}", "{}")

    result = check_queue(dependencies)

    assert (result.status, result.value) == ("pass", 7)
    assert "2 in the list, 5 in the stream" in result.message


@pytest.mark.parametrize(("seconds", "status"), [(0, "pass"), (40, "warn"), (400, "fail")])
def test_the_age_of_the_oldest_event_decides(dependencies, event_queue, seconds, status):
    enqueue_aged(event_queue, seconds)

    result = check_queue(dependencies)

    assert result.status == status
    assert seconds == 0 or "oldest event has been waiting" in result.message


@pytest.mark.parametrize(("size", "status"), [(100, "pass"), (6_000, "warn"), (9_800, "fail")])
def test_a_queue_near_its_limit_is_told_before_it_refuses(dependencies, event_queue, size, status):
    event_queue.admit(frame(size=size), 1)

    result = check_queue(dependencies)

    assert result.status == status
    assert status == "pass" or "LOGS_QUEUE_MAX_BYTES" in result.message


def test_very_many_events_are_a_warning(dependencies, event_queue):
    event_queue.client.set(event_queue.keys.events, thresholds.QUEUE_WARN_EVENTS + 1)

    assert check_queue(dependencies).status == "warn"


@pytest.mark.parametrize(
    ("key", "kind"), [("logs_queue", "string"), ("{logs_queue}:stream", "string"), ("{logs_queue}:events", "list")]
)
def test_a_key_of_another_type_is_named_with_its_cure(dependencies, event_queue, key, kind):
    event_queue.client.set(key, 1) if kind == "string" else event_queue.client.lpush(key, 1)

    result = check_queue(dependencies)

    assert (result.status, result.value) == ("fail", None)
    assert f"{key} is a {kind}" in result.message
    assert f"RENAME {key}" in result.message


@pytest.mark.parametrize(("megabytes", "status"), [(0, "pass"), (8, "warn")])
def test_a_redis_that_runs_out_of_memory_is_told(tmp_path, megabytes, status):
    with RedisServer.start(tmp_path, durable=False, maxmemory_bytes=10_000_000) as server:
        settings = Stores(NOWHERE, NOWHERE + "2", server.url).settings()
        with probing_redis(settings.redis_url) as client:
            for number in range(megabytes * 10):
                if client.info("memory")["used_memory"] < 8_500_000:
                    client.set(f"other {number}", b"x" * 100_000)
            result = check_queue(Dependencies(settings, EventQueue(client)))

    assert result.status == status
    assert status == "pass" or "of maxmemory" in result.message


# Workers


def test_no_worker_at_all_fails_and_says_how_to_start_one(dependencies):
    result = check_workers(dependencies)

    assert (result.status, result.value) == ("fail", 0)
    assert "start `headhunter worker`" in result.message


def test_a_worker_at_work_passes(dependencies, event_queue):
    beat(event_queue)

    result = check_workers(dependencies)

    assert (result.status, result.value, result.unit) == ("pass", 1, "workers")


def test_a_silent_worker_alone_fails_and_is_named(dependencies, event_queue):
    name = beat(event_queue, age_seconds=20)

    result = check_workers(dependencies)

    assert (result.status, result.value) == ("fail", 0)
    assert f"Worker {name} has been silent for 20 s" in result.message


def test_a_silent_worker_beside_one_at_work_is_a_warning_until_it_is_gone(dependencies, event_queue):
    beat(event_queue)
    name = beat(event_queue, age_seconds=20)
    gone = beat(event_queue, age_seconds=1200)

    result = check_workers(dependencies)

    assert (result.status, result.value) == ("warn", 1)
    assert name in result.message
    assert gone not in result.message


def test_a_worker_alive_without_progress_fails(dependencies, event_queue):
    name = beat(event_queue, stuck_seconds=45)

    result = check_workers(dependencies)

    assert result.status == "fail"
    assert f"{name} is alive but has made no progress for 45 s" in result.message
    assert "No worker is running" not in result.message


def test_a_stuck_worker_beside_one_at_work_is_a_warning(dependencies, event_queue):
    beat(event_queue)
    beat(event_queue, stuck_seconds=45)

    assert check_workers(dependencies).status == "warn"


def test_a_worker_that_upgrades_is_a_warning(dependencies, event_queue):
    beat(event_queue, state="upgrading")

    result = check_workers(dependencies)

    assert (result.status, result.value) == ("warn", 0)
    assert "is upgrading the logs schema" in result.message


@pytest.mark.parametrize("state", ["waiting_for_postgres", "waiting_for_redis"])
def test_a_worker_that_waits_for_a_server_fails_with_its_own_words(dependencies, event_queue, state):
    beat(event_queue, state=state, message="the server refuses")

    result = check_workers(dependencies)

    assert result.status == "fail"
    assert state.replace("_", " ") in result.message
    assert "the server refuses" in result.message


def test_a_worker_that_stops_is_a_warning(dependencies, event_queue):
    beat(event_queue, state="stopping")

    assert check_workers(dependencies).status == "warn"


# Recent writes


def test_idle_is_not_broken(dependencies, event_queue):
    beat(event_queue, wrote_seconds=3000)

    assert RecentWrites()(dependencies).status == "pass"


def test_the_first_event_after_a_quiet_night_is_no_trouble(dependencies, event_queue):
    beat(event_queue, wrote_seconds=3000)
    event_queue.admit(frame(), 1)

    assert RecentWrites()(dependencies).status == "pass"


@pytest.mark.parametrize(("seconds", "status"), [(10, "pass"), (45, "warn"), (90, "fail")])
def test_events_that_wait_while_nothing_is_written_are_told(dependencies, event_queue, seconds, status):
    enqueue_aged(event_queue, 300)
    beat(event_queue, wrote_seconds=seconds)

    result = RecentWrites()(dependencies)

    assert result.status == status
    assert result.value == pytest.approx(seconds, abs=2)


def test_old_events_behind_recent_writes_are_another_checks_trouble(dependencies, event_queue):
    enqueue_aged(event_queue, 300)
    beat(event_queue, wrote_seconds=1)

    assert RecentWrites()(dependencies).status == "pass"


def test_where_no_worker_ever_wrote_the_age_of_the_events_counts(dependencies, event_queue):
    enqueue_aged(event_queue, 300)

    result = RecentWrites()(dependencies)

    assert (result.status, result.value) == ("fail", None)


def test_a_list_that_nobody_empties_is_noticed_from_call_to_call(dependencies, event_queue, monkeypatch):
    monkeypatch.setattr(recent_writes, "WRITE_FAIL_SECONDS", 0.2)
    check = RecentWrites()
    event_queue.client.lpush("logs_queue", "{}")

    first = check(dependencies)
    time.sleep(0.25)
    second = check(dependencies)
    event_queue.client.delete("logs_queue")
    check(dependencies)
    event_queue.client.lpush("logs_queue", "{}")
    after_it_was_empty = check(dependencies)

    assert [each.status for each in (first, second, after_it_was_empty)] == ["pass", "fail", "pass"]


# Producers


def report(queue, name, **numbers):
    queue.report(ProducerReport(name=name, host="host", pid=1, service=f"{name}-service", **numbers))


def test_producers_that_lost_nothing_pass(dependencies, event_queue):
    report(event_queue, "web", accepted_events=10, buffered_events=3)

    result = check_producers(dependencies)

    assert (result.status, result.value) == ("pass", 0)
    assert "1 producers report, 3 events" in result.message


def test_dropped_events_are_counted_by_service(dependencies, event_queue):
    report(event_queue, "web", dropped_events=5)
    report(event_queue, "cron", dropped_events=2)
    report(event_queue, "fine")

    result = check_producers(dependencies)

    assert (result.status, result.value) == ("warn", 7)
    assert "web-service 5, cron-service 2" in result.message
    assert "fine" not in result.message


def test_full_buffers_are_a_warning_while_their_producer_lives(dependencies, event_queue):
    report(event_queue, "web", buffered_events=thresholds.BUFFERED_WARN_EVENTS + 1)
    warned = check_producers(dependencies)
    _, _, text = event_queue.client.hget(event_queue.keys.producers, "web").partition(b" ")
    event_queue.client.hset(event_queue.keys.producers, "web", f"{int((time.time() - 120) * 1000)} ".encode() + text)

    assert warned.status == "warn"
    assert check_producers(dependencies).status == "pass"


# Who may ask


def test_a_redis_user_without_info_still_gets_the_queue_checked(dependencies, event_queue, redis_url):
    event_queue.client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    url = redis_url.replace("redis://:", "redis://narrow:")
    with redis.Redis.from_url(url) as client:
        result = check_queue(Dependencies(dependencies.settings, EventQueue(client)))
    event_queue.client.acl_deluser("narrow")

    assert result.status == "pass"
