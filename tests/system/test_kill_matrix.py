"""
The short form of `python -m benchmarks kill_matrix`, and the faults that the full one must not miss.

Real servers, fully durable, of these tests alone, because they are killed.
"""

from dataclasses import replace
from functools import partial
from itertools import count

import psycopg
import pytest
import redis

from benchmarks.matrix.actor import RunError
from benchmarks.matrix.points import (
    AFTER_ACKNOWLEDGEMENT,
    AFTER_READ,
    AFTER_XADD,
    BEFORE_BRIDGE,
    BEFORE_COMMIT,
    CHECKED_COMMIT,
    DRAINED,
    POINTS,
)
from benchmarks.matrix.run import Case, Run
from benchmarks.matrix.stage import Stage
from benchmarks.matrix.verdict import judge
from benchmarks.matrix.workers import pop_and_write
from log_events.keys import QueueKeys
from tests.fixtures.mutations import (
    acknowledge_before_commit,
    count_twice,
    leave_the_ledger_out,
    scripts_without,
    use_scripts,
)

COUNT_ACCEPTED = "redis.call('HINCRBY', KEYS[{}], hour .. ':' .. {}, events)"
numbers = count(1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("matrix")) as stage:
        yield stage


def run_of(stage, point, *victims, **changes) -> Run:
    return Run(stage, Case(number=next(numbers), point=point, victims=victims, seed="short", **changes))


def test_the_servers_of_the_matrix_are_durable(stage):
    assert stage.settings() == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "appendonly": "yes",
        "appendfsync": "always",
    }


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_who_is_killed_at_a_point_loses_nothing_and_doubles_nothing(stage, point):
    verdict = run_of(stage, point, point.side).play()

    assert verdict.accepted
    assert verdict.is_clean, verdict


@pytest.mark.parametrize(
    ("point", "victims"),
    [(BEFORE_COMMIT, ("postgres",)), (AFTER_READ, ("redis",)), (DRAINED, ("producer", "redis"))],
    ids=["PostgreSQL", "Redis", "producer and Redis"],
)
def test_a_server_that_is_killed_loses_nothing_and_doubles_nothing(stage, point, victims):
    verdict = run_of(stage, point, *victims).play()

    assert verdict.accepted
    assert verdict.is_clean, verdict


def test_a_worker_that_pops_before_it_writes_loses_what_it_has_in_hand(stage):
    verdict = run_of(stage, replace(AFTER_READ, scene="list"), "worker", worker=pop_and_write).play()

    assert verdict.lost == 1


def test_an_acknowledgement_before_the_commit_is_caught(stage):
    verdict = run_of(stage, CHECKED_COMMIT, "worker", worker_mutation=acknowledge_before_commit).play()

    assert verdict.lost > 0
    assert verdict.imbalance >= verdict.lost


def test_a_ledger_that_is_not_written_is_caught(stage):
    verdict = run_of(stage, AFTER_ACKNOWLEDGEMENT, "producer", worker_mutation=leave_the_ledger_out).play()

    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.imbalance >= verdict.accepted


def test_sums_that_count_an_event_twice_are_caught(stage):
    verdict = run_of(stage, AFTER_ACKNOWLEDGEMENT, "producer", worker_mutation=count_twice).play()

    assert (verdict.lost, verdict.doubled, verdict.imbalance) == (0, 0, 0)
    assert verdict.wrong_sums > 0


def test_a_door_for_frames_that_does_not_count_is_caught(stage, tmp_path):
    scripts = scripts_without(COUNT_ACCEPTED.format(5, "kind"), "admit.lua", tmp_path)

    verdict = run_of(stage, AFTER_XADD, "worker", producer_mutation=partial(use_scripts, scripts)).play()

    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.imbalance == verdict.accepted


def test_a_door_for_the_list_that_does_not_count_is_caught(stage, tmp_path):
    scripts = scripts_without(COUNT_ACCEPTED.format(6, "kind_name"), "bridge.lua", tmp_path)

    verdict = run_of(stage, BEFORE_BRIDGE, "producer", worker_mutation=partial(use_scripts, scripts)).play()

    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.imbalance >= verdict.accepted


def test_a_row_that_somebody_deleted_is_caught(stage):
    run = run_of(stage, AFTER_XADD, "worker")
    assert run.play().is_clean

    with psycopg.connect(stage.database_url) as connection:
        connection.execute(
            "DELETE FROM system_logs WHERE id = (SELECT id FROM system_logs WHERE component = %s LIMIT 1)", [run.name]
        )

    assert judge(run.name, run.accepted, stage.database_url, stage.redis_url).lost == 1


def test_an_entry_that_somebody_deleted_from_the_stream_is_caught(stage):
    def delete_one():
        with redis.Redis.from_url(stage.redis_url) as client:
            (entry_id, _), *_ = client.xrange(QueueKeys().stream, count=1)
            client.xdel(QueueKeys().stream, entry_id)

    verdict = run_of(stage, AFTER_READ, "worker").play(meanwhile=delete_one)

    assert verdict.lost > 0
    assert verdict.imbalance == verdict.lost


def test_a_point_that_is_not_reached_is_an_error_and_no_pass(stage, monkeypatch):
    monkeypatch.setattr("benchmarks.matrix.actor.WAIT_SECONDS", 0.3)

    with pytest.raises(RunError, match="reached"):
        run_of(stage, replace(BEFORE_BRIDGE, scene="stream"), "worker").play()
