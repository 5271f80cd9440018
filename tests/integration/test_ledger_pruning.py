"""Accounts of hours long ago, all of whose events are accounted for, leave Redis; any other hour stays."""

import threading
from datetime import UTC, datetime

import pytest
import redis

from api.ledger_balance import read_balance
from log_events.event_queue import EventQueue
from log_events.wire import encode_frame
from logs_db import ledger
from logs_db.retention_plan import Retention
from tests.fixtures.logs import system_event, wait_until
from worker.ledger_pruning import KEPT_HOURS, prune_accounts
from worker.maintenance import Maintenance
from worker.pulse import Pulse

NOW_HOUR = int(datetime.now(UTC).timestamp()) // 3600
OLD = NOW_HOUR - KEPT_HOURS - 5


@pytest.fixture
def queue(stores):
    with redis.Redis.from_url(stores.redis) as client:
        queue = EventQueue(client)
        queue.admit(encode_frame([system_event()]), 1)
        yield queue


@pytest.fixture
def accounted(queue, logs):
    """A function that lets an hour have had so many events accepted, and so many of them written."""
    generation = queue.accounts().generation

    def account(hour, accepted, written, kind="system_log"):
        queue.client.hincrby(queue.keys.accepted, f"{hour}:{kind}", accepted)
        with logs.transaction(), logs.cursor() as cursor:
            ledger.append(cursor, [ledger.LedgerRow(hour * 3_600_000, 0, generation, kind, written, 0, 0)])

    return account


def hours_left(queue):
    hours = {int(field.partition(b":")[0]) for field in queue.client.hkeys(queue.keys.accepted)}
    return {hour for hour in hours if hour < NOW_HOUR}


def imbalances(queue, logs):
    return [line.imbalance for line in read_balance(queue, logs).lines if line.imbalance]


def test_hours_that_balance_go_and_are_neither_missing_nor_too_much(queue, logs, accounted):
    for hour in (OLD, OLD + 1, OLD + 4, OLD + 10):
        accounted(hour, 7, 7)
    accounted(OLD, 3, 3, kind="other")

    assert prune_accounts(queue, logs) == 4
    assert hours_left(queue) == {OLD + 10}
    assert imbalances(queue, logs) == []
    assert prune_accounts(queue, logs) == 0


@pytest.mark.parametrize(("accepted", "written"), [(7, 5), (5, 7)])
def test_an_old_hour_that_does_not_balance_stays_and_is_still_told(queue, logs, accounted, accepted, written):
    accounted(OLD, 1, 1)
    accounted(OLD + 1, accepted, written)

    assert prune_accounts(queue, logs) == 1
    assert hours_left(queue) == {OLD + 1}
    assert imbalances(queue, logs) == [accepted - written]


def test_an_old_hour_of_which_something_waits_stays(queue, logs, accounted):
    accounted(OLD, 7, 7)
    queue.client.hincrby(queue.keys.waiting, f"{OLD}:system_log", 1)

    assert prune_accounts(queue, logs) == 0
    assert hours_left(queue) == {OLD}


def test_what_came_in_while_somebody_looked_is_not_forgotten(queue, accounted):
    accounted(OLD, 7, 7)
    accounts = queue.accounts()
    queue.client.hincrby(queue.keys.accepted, f"{OLD}:system_log", 1)

    assert queue.prune(datetime.now(UTC), accounts.accepted) == 0
    assert hours_left(queue) == {OLD}


def test_nothing_is_pruned_of_a_queue_that_never_held_anything(stores, logs):
    with redis.Redis.from_url(stores.redis) as client:
        assert prune_accounts(EventQueue(client), logs) == 0


def test_a_pass_of_maintenance_prunes(stores, queue, accounted):
    accounted(OLD, 7, 7)
    stop = threading.Event()
    maintenance = Maintenance(queue, stores.logs, 30, 1 << 30, Retention(), Pulse("w", "h", 1), stop)
    running = threading.Thread(target=maintenance.run)
    running.start()
    try:
        wait_until(lambda: not hours_left(queue))
    finally:
        stop.set()
        running.join()
