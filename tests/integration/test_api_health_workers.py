"""The checks of workers and of recent writes, over a real Redis."""

import time

import pytest

from api.health import recent_writes
from api.health.recent_writes import RecentWrites
from api.health.workers import check_workers
from tests.fixtures.api_queue import beat, enqueue_aged, frame


def test_no_worker_at_all_fails_and_says_how_to_start_one(queue_dependencies):
    result = check_workers(queue_dependencies)

    assert (result.status, result.value) == ("fail", 0)
    assert "start `headhunter worker`" in result.message


def test_a_worker_at_work_passes(queue_dependencies, event_queue):
    beat(event_queue)

    result = check_workers(queue_dependencies)

    assert (result.status, result.value, result.unit) == ("pass", 1, "workers")


def test_a_silent_worker_alone_fails_and_is_named(queue_dependencies, event_queue):
    name = beat(event_queue, age_seconds=20)

    result = check_workers(queue_dependencies)

    assert (result.status, result.value) == ("fail", 0)
    assert f"Worker {name} has been silent for 20 s" in result.message


def test_a_silent_worker_beside_one_at_work_is_a_warning_until_it_is_gone(queue_dependencies, event_queue):
    beat(event_queue)
    name = beat(event_queue, age_seconds=20)
    gone = beat(event_queue, age_seconds=1200)

    result = check_workers(queue_dependencies)

    assert (result.status, result.value) == ("warn", 1)
    assert name in result.message
    assert gone not in result.message


def test_a_worker_alive_without_progress_fails(queue_dependencies, event_queue):
    name = beat(event_queue, stuck_seconds=45)

    result = check_workers(queue_dependencies)

    assert result.status == "fail"
    assert f"{name} is alive but has made no progress for 45 s" in result.message
    assert "No worker is running" not in result.message


def test_what_maintenance_cannot_do_is_a_warning_told_once_of_all_workers(queue_dependencies, event_queue):
    for _ in range(2):
        beat(event_queue, troubles={"make partitions ahead": "permission denied for schema public"})

    result = check_workers(queue_dependencies)

    assert (result.status, result.value) == ("warn", 2)
    assert result.message.count("cannot make partitions ahead: permission denied for schema public.") == 1


def test_a_stuck_worker_beside_one_at_work_is_a_warning(queue_dependencies, event_queue):
    beat(event_queue)
    beat(event_queue, stuck_seconds=45)

    assert check_workers(queue_dependencies).status == "warn"


def test_a_worker_that_upgrades_is_a_warning(queue_dependencies, event_queue):
    beat(event_queue, state="upgrading")

    result = check_workers(queue_dependencies)

    assert (result.status, result.value) == ("warn", 0)
    assert "is upgrading the logs schema" in result.message


@pytest.mark.parametrize("state", ["waiting_for_postgres", "refused_by_postgres", "waiting_for_redis"])
def test_a_worker_that_waits_for_a_server_fails_with_its_own_words(queue_dependencies, event_queue, state):
    beat(event_queue, state=state, message="the server refuses")

    result = check_workers(queue_dependencies)

    assert result.status == "fail"
    assert state.replace("_", " ") in result.message
    assert "the server refuses" in result.message


def test_a_worker_that_stops_is_a_warning(queue_dependencies, event_queue):
    beat(event_queue, state="stopping")

    assert check_workers(queue_dependencies).status == "warn"


def test_idle_is_not_broken(queue_dependencies, event_queue):
    beat(event_queue, wrote_seconds=3000)

    assert RecentWrites()(queue_dependencies).status == "pass"


def test_the_first_event_after_a_quiet_night_is_no_trouble(queue_dependencies, event_queue):
    beat(event_queue, wrote_seconds=3000)
    event_queue.admit(frame(), 1)

    assert RecentWrites()(queue_dependencies).status == "pass"


@pytest.mark.parametrize(("seconds", "status"), [(10, "pass"), (45, "warn"), (90, "fail")])
def test_events_that_wait_while_nothing_is_written_are_told(queue_dependencies, event_queue, seconds, status):
    enqueue_aged(event_queue, 300)
    beat(event_queue, wrote_seconds=seconds)

    result = RecentWrites()(queue_dependencies)

    assert result.status == status
    assert result.value == pytest.approx(seconds, abs=2)


def test_old_events_behind_recent_writes_are_another_checks_trouble(queue_dependencies, event_queue):
    enqueue_aged(event_queue, 300)
    beat(event_queue, wrote_seconds=1)

    assert RecentWrites()(queue_dependencies).status == "pass"


def test_where_no_worker_ever_wrote_the_age_of_the_events_counts(queue_dependencies, event_queue):
    enqueue_aged(event_queue, 300)

    result = RecentWrites()(queue_dependencies)

    assert (result.status, result.value) == ("fail", None)


def test_a_list_that_nobody_empties_is_noticed_from_call_to_call(queue_dependencies, event_queue, monkeypatch):
    monkeypatch.setattr(recent_writes, "WRITE_FAIL_SECONDS", 0.2)
    check = RecentWrites()
    event_queue.client.lpush("logs_queue", "{}")

    first = check(queue_dependencies)
    time.sleep(0.25)
    second = check(queue_dependencies)
    event_queue.client.delete("logs_queue")
    check(queue_dependencies)
    event_queue.client.lpush("logs_queue", "{}")
    after_it_was_empty = check(queue_dependencies)

    assert [each.status for each in (first, second, after_it_was_empty)] == ["pass", "fail", "pass"]
