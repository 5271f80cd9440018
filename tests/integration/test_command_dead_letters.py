"""``headhunter logs dead-letters replay`` and ``purge``: what is chosen, what is said, what is done."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from typer.testing import CliRunner

from headhunter.commands.logs import app
from log_events.event_queue import EventQueue
from log_events.heartbeat import WorkerHeartbeat
from logs_db.dead_letters import mark_replayed, read_page
from tests.fixtures.entries import SYSTEM
from tests.fixtures.letters import NOW, letter, write

SOUND = json.dumps(SYSTEM).encode()
BETWEEN = (NOW - timedelta(seconds=90)).isoformat()
HOSTILE = "\x1b]0;owned\x07 \x9b31m token=abcdefghijklmnop \u202e"


@pytest.fixture
def run(stores, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", stores.logs)
    monkeypatch.setenv("REDIS_URL", stores.redis)
    return lambda *arguments, **options: CliRunner().invoke(app, ["dead-letters", *arguments], **options)


@pytest.fixture
def queue(stores):
    with redis.Redis.from_url(stores.redis) as client:
        yield EventQueue(client)


@pytest.fixture
def letters(logs):
    write(
        logs,
        letter(1),
        letter(2, raw=SOUND, size_bytes=len(SOUND), reason="unknown_level"),
        letter(3, raw=b"x" * 65_536, size_bytes=20_000_000, raw_is_complete=False, reason="too_large"),
        letter(4, raw=SOUND, size_bytes=len(SOUND)),
    )
    with logs.cursor() as cursor:
        mark_replayed(cursor, [UUID(int=4)])


def test_a_dry_run_tells_what_would_become_of_each_and_sends_nothing(run, letters, queue):
    plan = json.loads(run("replay", "--all", "--dry-run", "--json").stdout)["letters"]

    assert [(UUID(one["id"]).int, one["events"], one["outlook"]) for one in plan] == [
        (3, 0, ""),
        (2, 1, "row"),
        (1, 1, "not_json"),
    ]
    assert "20000000 bytes" in plan[0]["obstacle"]
    assert "not_json" in run("replay", "--all", "--dry-run").stdout
    assert queue.depth().events == 0


@pytest.mark.parametrize(
    ("days", "outlook"), [("", "timestamp_out_of_range"), ("90", "row"), ("7", "timestamp_out_of_range")]
)
def test_a_dry_run_foretells_by_the_retention_that_is_set(run, logs, monkeypatch, days, outlook):
    age = timedelta(days=10 if days == "7" else 60)
    raw = json.dumps(SYSTEM | {"created_at": (NOW - age).isoformat()}).encode()
    write(logs, letter(1, raw=raw, size_bytes=len(raw)))
    monkeypatch.setenv("SYSTEM_LOG_RETENTION_DAYS", days)

    (one,) = json.loads(run("replay", "--all", "--dry-run", "--json").stdout)["letters"]

    assert one["outlook"] == outlook


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["--all"], 2),
        (["--reason", "unknown_level"], 1),
        (["--since", BETWEEN], 1),
        (["--until", BETWEEN], 1),
        (["--since", "26h", "--until", "25h"], 0),
        (["--since", "2020-01-01", "--until", "2020-01-02T00:00:00Z"], 0),
        ([str(UUID(int=1)), str(UUID(int=2))], 2),
        ([str(UUID(int=4))], 0),
        ([str(UUID(int=99))], 0),
    ],
)
def test_what_is_chosen_is_sent(run, letters, queue, arguments, sent):
    result = run("replay", "--json", *arguments)

    assert json.loads(result.stdout)["sent"] == sent
    assert queue.depth().events == sent


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["purge", "--yes"],
        ["replay", "--all", "--reason", "x"],
        ["replay", str(UUID(int=1)), "--since", "1h"],
        ["replay", "--since", "yesterday"],
        ["purge", "--older-than", "soon"],
        ["purge", "--older-than", "999999w"],
    ],
)
def test_no_choice_or_an_unclear_one_is_wrong_usage(run, letters, queue, logs, arguments):
    assert run(*arguments).exit_code == 2
    assert len(read_page(logs, limit=9)) == 4
    assert queue.depth().events == 0


def test_what_cannot_be_sent_is_said_and_ends_with_1(run, letters):
    result = run("replay", "--all")

    assert result.exit_code == 1
    assert "only the first 65536 of 20000000 bytes were kept" in result.stderr
    assert "Sent 2 dead letters" in result.stdout


def test_a_full_queue_stops_the_replay_with_75_and_the_same_command_goes_on(run, letters, queue, monkeypatch):
    monkeypatch.setenv("LOGS_QUEUE_MAX_BYTES", "300")
    full = run("replay", "--all", "--json")
    monkeypatch.delenv("LOGS_QUEUE_MAX_BYTES")

    assert full.exit_code == 75
    assert (json.loads(full.stdout)["sent"], json.loads(full.stdout)["queue_is_full"]) == (1, True)
    assert json.loads(run("replay", "--all", "--json").stdout)["sent"] == 2


def test_what_no_queue_can_hold_stops_no_other(run, letters, queue, logs, monkeypatch):
    raw = SOUND + b" " * 1000
    write(logs, letter(50, raw=raw, size_bytes=len(raw)))
    monkeypatch.setenv("LOGS_QUEUE_MAX_BYTES", "900")

    report = json.loads(run("replay", "--all", "--json").stdout)

    assert (report["sent"], report["queue_is_full"]) == (2, False)
    assert any("LOGS_QUEUE_MAX_BYTES" in one["obstacle"] for one in report["skipped"])


def test_workers_of_another_release_are_waited_for(run, letters, queue):
    said = {"name": "h:1:1", "host": "another", "pid": 1, "state": "running", "started_at": 0, "last_progress_at": 0}
    queue.beat(WorkerHeartbeat(**said, head="7d1c5e0a94b3"))

    result = run("replay", "--all")

    assert result.exit_code == 75
    assert "7d1c5e0a94b3" in result.stderr
    assert queue.depth().events == 0


def test_a_purge_deletes_replayed_ones_only_unless_told_otherwise(run, letters, logs):
    dry = json.loads(run("purge", "--all", "--unreplayed", "--dry-run", "--json").stdout)
    plain = json.loads(run("purge", "--all", "--yes", "--json").stdout)

    assert (dry["letters"], dry["unreplayed"], dry["raw_bytes"]) == (4, 3, 65_536 + 2 * len(SOUND) + len(letter().raw))
    assert (plain["letters"], plain["unreplayed"], plain["kept_unreplayed"]) == (1, 0, 3)
    assert [one.id.int for one in read_page(logs, limit=9)] == [1, 2, 3]
    assert "--unreplayed" in run("purge", "--all", "--yes").stdout

    run("purge", "--reason", "not_json", "--older-than", "30s", "--unreplayed", "--yes")
    assert [one.id.int for one in read_page(logs, limit=9)] == [2, 3]
    run("purge", "--older-than", "1d", "--unreplayed", "--yes")
    assert [one.id.int for one in read_page(logs, limit=9)] == [2, 3]


def test_a_purge_asks_first_and_says_what_is_gone_for_good(run, letters, logs):
    refused = run("purge", "--all", "--unreplayed", input="n\n")
    agreed = run("purge", "--all", "--unreplayed", input="y\n")

    assert refused.exit_code == 1
    assert "gone for good" in refused.stderr
    assert "Deleted 4 dead letters with 65" in agreed.stdout
    assert read_page(logs, limit=9) == []


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["show"], ["show", "--json"]])
def test_no_field_of_a_letter_reaches_a_terminal_as_a_command_or_with_its_secrets(run, logs, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "1000")
    raw = HOSTILE.encode()
    write(logs, letter(1, detail=HOSTILE, event_type=HOSTILE[:20], raw=raw, size_bytes=len(raw)))
    ids = [str(UUID(int=1))] if arguments[0] == "show" else []

    shown = run(*arguments, *ids).stdout

    assert "abcdefghijklmnop" not in shown.replace("\n", "")
    assert all(character.isprintable() for character in shown.replace("\n", ""))
