"""Dead letters sent back through a real queue to a real worker: each event a row once, and the ledger balanced."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from typer.testing import CliRunner

from api.ledger_balance import read_balance
from headhunter.commands.logs import app
from log_events.event_queue import EventQueue
from log_events.wire import encode_event, encode_frame, join_frame
from logs_db.dead_letters import read_one, read_page
from tests.fixtures.entries import LLM, SYSTEM
from tests.fixtures.letters import letter, write
from tests.fixtures.logs import system_event, wait_until
from worker.entry import derived_id

ODD = "ALTER TABLE system_logs ADD CONSTRAINT no_odd_ones CHECK (message <> 'odd')"
MENDED = "ALTER TABLE system_logs DROP CONSTRAINT no_odd_ones"
ODD_PUSHED = json.dumps(SYSTEM | {"message": "odd"}).encode()


@pytest.fixture
def queue(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueue(client)


@pytest.fixture
def environment(logs_database_url, redis_url):
    return {"LOGS_DATABASE_URL": logs_database_url, "REDIS_URL": redis_url}


@pytest.fixture
def replay(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> dict:
        result = CliRunner().invoke(app, ["dead-letters", "replay", "--json", *arguments])
        return {"exit_code": result.exit_code} | json.loads(result.stdout)

    return run


@pytest.fixture
def drain(environment, queue, start_worker):
    """A function that has a worker write all that waits, and end."""

    def run() -> None:
        worker = start_worker(**environment)
        wait_until(lambda: queue.depth().events == 0)
        worker.terminate()
        assert worker.wait(20) == 0

    return run


@pytest.fixture
def imbalances(queue, logs_connection):
    """A function that tells the imbalance of each hour and kind, and what was deduplicated."""

    def read() -> tuple[set[int], int]:
        balance = read_balance(queue, logs_connection)
        return {line.imbalance for line in balance.lines}, balance.deduplicated

    return read


def sound(number: int, raw: bytes = json.dumps(SYSTEM).encode(), **changes):
    """A letter whose event no worker of today condemns."""
    return letter(number, raw=raw, size_bytes=len(raw), **changes)


def rows(connection: psycopg.Connection, columns: str = "id, created_at") -> list[tuple]:
    return connection.execute(f"SELECT {columns} FROM system_logs ORDER BY created_at, id").fetchall()


def test_what_postgresql_refused_becomes_the_rows_that_it_would_have_been(
    queue, logs_connection, replay, drain, imbalances
):
    framed = system_event(message="odd")
    logs_connection.execute(ODD)
    queue.client.lpush("logs_queue", ODD_PUSHED)
    queue.admit(encode_frame([system_event(), framed]), 2)
    drain()
    pushed = next(one for one in read_page(logs_connection, limit=9) if one.source == "list")
    place = f"{read_one(logs_connection, pushed.id).generation}/{pushed.entry_id}"
    logs_connection.execute(MENDED)

    first, second = replay("--all"), replay("--reason", "refused")
    drain()

    assert (first["sent"], second["sent"]) == (2, 2)
    expected = {(framed.id, framed.created_at), (derived_id("event", place, 0, ODD_PUSHED), pushed.created_at)}
    assert set(rows(logs_connection)) >= expected
    assert len(rows(logs_connection)) == 3
    assert all(one.replayed_at is not None for one in read_page(logs_connection, limit=9))
    assert imbalances() == ({0}, 2)
    assert replay("--all")["sent"] == 0
    assert replay(str(pushed.id))["exit_code"] == 1


def test_what_fails_again_is_the_same_letter_again_and_goes_round_no_more(
    queue, logs_connection, replay, drain, imbalances
):
    queue.client.lpush("logs_queue", "not json", json.dumps(LLM | {"latency_ms": "7"}))
    queue.admit(b"damaged", 1)
    drain()
    before = {one.id for one in read_page(logs_connection, limit=9)}

    report = replay("--all")
    drain()

    assert (report["sent"], report["exit_code"]) == (2, 1)
    assert "checksum" in report["skipped"][0]["obstacle"]
    after = read_page(logs_connection, limit=9)
    assert {one.id for one in after} == before
    assert sorted((one.reason, one.seen_count) for one in after) == [
        ("damaged_frame", 1),
        ("not_json", 2),
        ("wrong_type", 2),
    ]
    assert [one.replayed_at for one in after] == [None, None, None]
    assert imbalances() == ({0}, 0)


def test_letters_of_older_releases_of_the_conversion_and_of_whole_frames_are_replayed(
    queue, logs_connection, replay, drain, imbalances
):
    stored = SYSTEM | {"id": str(uuid4()), "created_at": datetime.now(UTC).isoformat()}
    bad = b"\x01"
    write(
        logs_connection,
        sound(1),
        sound(2, json.dumps(stored).encode(), source="legacy", entry_id=None, entry_index=None),
        sound(3, join_frame([encode_event(system_event()), bad]), source="stream", entry_index=None),
        sound(4, join_frame([bad]), source="stream", entry_index=None, frame_version="2"),
        letter(5, raw=b"x" * 65_536, size_bytes=20_000_000, raw_is_complete=False),
    )

    report = replay("--all")
    drain()

    assert (report["sent"], report["events"], len(report["skipped"])) == (3, 4, 2)
    assert len(rows(logs_connection)) == 3
    letters = {one.id.int: one for one in read_page(logs_connection, limit=9)}
    assert [letters[number].replayed_at is not None for number in range(1, 6)] == [True, True, True, False, False]
    assert [one.reason for number, one in letters.items() if number > 5] == ["not_an_object"]  # of the frame, its own
    assert imbalances() == ({0}, 0)


def test_an_event_out_of_time_is_dead_again_unless_it_is_redated(queue, logs_connection, replay, drain, imbalances):
    queue.client.lpush("logs_queue", json.dumps(SYSTEM | {"created_at": "2100-01-01T00:00:00Z"}))
    drain()

    replay("--all")
    drain()
    assert rows(logs_connection) == []
    replay("--reason", "timestamp_out_of_range", "--redate")
    drain()

    (one,) = read_page(logs_connection, limit=9)
    assert rows(logs_connection, "created_at, extra_data") == [
        (one.created_at, {"claimed_created_at": "2100-01-01T00:00:00Z"})
    ]
    assert (one.seen_count, one.replayed_at is not None) == (2, True)
    assert imbalances() == ({0}, 0)


def test_a_worker_lets_letters_go_in_time_and_those_that_are_rows_for_room_and_says_so(
    environment, logs_connection, start_worker
):
    raw = os.urandom(300_000)
    write(logs_connection, *(sound(number, raw) for number in range(6)))
    long_ago = datetime.now(UTC) - timedelta(days=40)
    write(logs_connection, sound(9, created_at=long_ago))
    logs_connection.execute("UPDATE dead_letters SET last_seen_at = %s WHERE id = %s", [long_ago, UUID(int=9)])
    logs_connection.execute("UPDATE dead_letters SET replayed_at = now() WHERE id = %s", [UUID(int=0)])

    worker = start_worker(**environment, DEAD_LETTERS_MAX_BYTES="1048576")
    wait_until(lambda: "dead_letters_full" in worker.log.read_text())

    assert sorted(one.id.int for one in read_page(logs_connection, limit=9)) == [1, 2, 3, 4, 5]
    log = worker.log.read_text()
    assert all(event in log for event in ("dead_letters_expired", "dead_letters_made_room", "unreplayed=1"))


def test_killed_amid_a_replay_and_started_again_gives_each_event_once(
    environment, queue, logs_connection, replay, start_worker, imbalances
):
    moment = datetime.now(UTC) - timedelta(hours=1)
    write(logs_connection, *(sound(number, created_at=moment) for number in range(600)))
    command = [sys.executable, "-m", "headhunter", "logs", "dead-letters", "replay", "--all"]
    sender = subprocess.Popen(command, env={"PATH": os.environ["PATH"]} | environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: queue.depth().events > 20)
    sender.kill()
    sender.wait()
    worker = start_worker(**environment)
    wait_until(lambda: rows(logs_connection))
    worker.kill()
    worker.wait()

    start_worker(**environment)
    replay("--all")
    replay("--all")
    wait_until(lambda: queue.depth().events == 0)

    assert len(rows(logs_connection)) == 600
    assert {one.replayed_at is None for one in read_page(logs_connection, limit=1000)} == {False}
    assert imbalances()[0] == {0}
