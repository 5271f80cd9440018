"""``headhunter logs``: what an operator asks of the logs database by hand."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import redis
from typer.testing import CliRunner

from headhunter.commands.logs import app
from log_events.event_queue import EventQueue
from logs_db import rollups
from logs_db.dead_letters import DeadLetterRow, upsert
from logs_db.latency_sketch import bucket_of

RAW = b"password=hunter2hunter2 \x1b[31m \xff"


@pytest.fixture
def run(logs_database_url, redis_url, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", logs_database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    return lambda *arguments: CliRunner().invoke(app, arguments)


@pytest.fixture
def letter(logs_connection):
    row = DeadLetterRow(
        id=uuid4(),
        created_at=datetime.now(UTC),
        reason="not_json",
        detail="ValueError",
        event_type=None,
        source="list",
        entry_id="1-0",
        entry_index=0,
        size_bytes=len(RAW),
        sha256=bytes(32),
        raw=RAW,
        raw_is_complete=True,
    )
    with logs_connection.cursor() as cursor:
        upsert(cursor, [row])
    return row


def test_dead_letters_are_listed_and_counted(run, letter):
    shown = json.loads(run("dead-letters", "list", "--json").stdout)

    assert [one["id"] for one in shown["letters"]] == [str(letter.id)]
    assert [(count["reason"], count["rows"]) for count in shown["counts"]] == [("not_json", 1)]
    assert "not_json" in run("dead-letters", "list").stdout


def test_a_dead_letter_is_shown_without_its_secrets_and_with_hostile_bytes_escaped(run, letter):
    shown = run("dead-letters", "show", str(letter.id)).stdout

    assert "hunter2" not in shown
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown.replace("\n", "")


def test_a_dead_letter_that_is_not_there_is_a_finding(run):
    assert run("dead-letters", "show", str(uuid4())).exit_code == 1


def test_the_ledger_exits_with_1_where_something_is_missing(run, redis_url):
    assert json.loads(run("ledger", "--json").stdout)["imbalance"] == 0
    with redis.Redis.from_url(redis_url) as client:
        queue = EventQueue(client)
        entry = queue.admit(b"frame", 3)
        client.xdel(queue.keys.stream, entry)

    result = run("ledger", "--json")

    assert (result.exit_code, json.loads(result.stdout)["imbalance"]) == (1, 3)


def test_a_missing_or_wrong_url_is_wrong_usage_and_never_shown(run, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", "mysql://u:s3cret-word@h/d")
    wrong = run("dead-letters", "list")
    monkeypatch.delenv("LOGS_DATABASE_URL")

    assert (wrong.exit_code, run("dead-letters", "list").exit_code) == (2, 2)
    assert "s3cret-word" not in wrong.output


def test_the_variable_that_is_wrong_is_the_one_that_is_named(run, monkeypatch):
    monkeypatch.setenv("LOGS_MIGRATION_DATABASE_URL", "mysql://u@h/d")

    assert run("dead-letters", "list").stderr.startswith("LOGS_MIGRATION_DATABASE_URL does not ")


def test_sums_are_held_against_the_rows(run, logs_connection):
    assert "are right" in run("rollups", "check").stdout
    with logs_connection.cursor() as cursor:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        rollups.append(cursor, rollups.SYSTEM_LOGS, [(minute, "INFO", "c", "", 7)])

    found = run("rollups", "check", "--since", "2h", "--json")

    assert found.exit_code == 1
    assert "rollup_days" in found.stderr
    wrong = json.loads(found.stdout)["differences"]
    assert [(one["table"], one["key"], one["rows"], one["sums"]) for one in wrong] == [
        ("system_log_minutes", ["INFO", "c", ""], "[null]", "[7]"),
        ("system_log_hours", ["INFO", "c", ""], "[null]", "[7]"),
    ]
    assert "system_log_hours" in run("rollups", "check").stdout
    assert run("rollups", "check", "--since", "1h", "--until", "2h").exit_code == 2


def test_latencies_are_told_by_model_from_what_is_folded_and_what_is_not(run, logs_connection):
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    for bucket, calls in ((bucket_of(100), 90), (bucket_of(5000), 10)):
        with logs_connection.cursor() as cursor:
            key = (minute, "openai", "gpt", "chat", "success", bucket)
            rollups.append(cursor, rollups.LLM_LATENCIES, [(*key, calls)])
        if calls > 10:
            rollups.fold(logs_connection)

    (model,) = json.loads(run("rollups", "latencies", "--json").stdout)["models"]

    assert (model["provider"], model["model"]) == ("openai", "gpt")
    assert 100 <= model["p50_ms"] <= 105
    assert 5000 <= model["p95_ms"] == model["p99_ms"] <= 5250
    assert "gpt" in run("rollups", "latencies").stdout
    assert json.loads(run("rollups", "latencies", "--until", "2d", "--json").stdout)["models"] == []
