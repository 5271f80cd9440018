"""The ledger is judged line by line: what is missing in one hour is seen whatever waits, or is too much, in another."""

import json
from datetime import UTC, datetime

import pytest
import redis
from typer.testing import CliRunner

from api.health.dependencies import Dependencies
from api.health.ledger import check_ledger
from api.ledger_balance import read_balance
from headhunter.commands.logs import app
from log_events.event_queue import Acknowledgement, EventQueue
from log_events.kinds import KindCounts
from logs_db import ledger

THIS_HOUR = int(datetime.now(UTC).timestamp()) // 3600


@pytest.fixture
def queue(stores, logs):
    with redis.Redis.from_url(stores.redis) as client:
        queue = EventQueue(client)
        queue.acknowledge([Acknowledgement(queue.admit(b"frame", 1), 5, KindCounts(1, 0, 0))])
        write(logs, queue, THIS_HOUR, 1)
        yield queue


@pytest.fixture
def check(stores, queue):
    return lambda: check_ledger(Dependencies(stores.settings(), queue))


@pytest.fixture
def run(stores, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", stores.logs)
    monkeypatch.setenv("REDIS_URL", stores.redis)
    return lambda: CliRunner().invoke(app, ["ledger", "--json"])


def accept(queue, hour, events):
    queue.client.hincrby(queue.keys.accepted, f"{hour}:system_log", events)


def write(logs, queue, hour, events):
    """Let the database know of *events* written, of an entry of *hour*."""
    generation = queue.accounts().generation
    with logs.transaction(), logs.cursor() as cursor:
        number = cursor.execute("SELECT count(*) FROM ledger_entries").fetchone()[0]
        ledger.append(cursor, [ledger.LedgerRow(hour * 3_600_000, number, generation, "system_log", events, 0, 0)])


def test_what_is_accounted_for_or_waits_is_right(queue, check, run):
    queue.admit(b"frame", 3)

    assert (check().status, check().value, run().exit_code) == ("pass", 0, 0)


def test_events_missing_in_one_hour_are_seen_while_others_wait(queue, check, run):
    accept(queue, THIS_HOUR - 2, 5)
    queue.admit(b"frame", 3)

    told = run()

    assert (told.exit_code, json.loads(told.stdout)["imbalance"]) == (1, 5)
    assert (check().status, check().value) == ("fail", 5)


def test_an_entry_deleted_by_hand_an_hour_ago_is_missed_while_others_wait(queue, check):
    accept(queue, THIS_HOUR - 2, 5)
    queue.client.hincrby(queue.keys.waiting, f"{THIS_HOUR - 2}:system_log", 5)
    queue.admit(b"frame", 3)

    assert check().value == 5


def test_what_is_missing_in_one_hour_is_not_made_up_for_by_another(queue, logs, check, run):
    accept(queue, THIS_HOUR - 2, 5)
    write(logs, queue, THIS_HOUR - 3, 5)

    told = run()

    assert told.exit_code == 1
    assert [line["imbalance"] for line in json.loads(told.stdout)["lines"]] == [-5, 5, 0]
    assert (check().status, check().value) == ("fail", 10)


class BusyQueue(EventQueue):
    """One to which something happens while somebody looks, between its own answer and that of the database."""

    meanwhile = None

    def accounts(self):
        found = super().accounts()
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        return found


@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_what_is_written_while_somebody_looks_is_no_surplus(queue, logs, is_acknowledged):
    def take_and_write():
        entry = queue.admit(b"frame", 4)
        write(logs, queue, int(entry.partition(b"-")[0]) // 3_600_000, 4)
        if is_acknowledged:
            queue.acknowledge([Acknowledgement(entry, 5, KindCounts(4, 0, 0))])

    busy = BusyQueue(queue.client)
    busy.meanwhile = take_and_write

    assert {line.imbalance for line in read_balance(busy, logs).lines} == {0}


def test_a_queue_that_is_emptied_while_somebody_looks_is_read_again(queue, logs):
    write(logs, queue, THIS_HOUR - 1, 4)
    busy = BusyQueue(queue.client)
    busy.meanwhile = busy.client.flushall

    assert read_balance(busy, logs).lines == ()
