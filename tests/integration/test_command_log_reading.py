"""``headhunter logs search|tail|story|event``, over the primary or a fresh replica."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from headhunter.commands.logs import app
from tests.fixtures.log_rows import NOW, llm, system


@pytest.fixture
def run(stores, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", stores.logs)
    monkeypatch.delenv("LOGS_READ_DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def told(result):
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_search_tells_what_matches_newest_first(run, logs):
    rows = [system(logs, level="ERROR", component="c", created_at=NOW - timedelta(hours=n)) for n in range(3)]
    system(logs, component="c")

    found = told(run("search", "--level", "error", "--component", "c", "--since", "90m", "--json"))

    assert [(event["table"], event["id"]) for event in found] == [("system_logs", str(row["id"])) for row in rows[:2]]


def test_what_is_no_fresh_replica_is_not_read_but_the_primary(run, stores, logs, monkeypatch):
    # A database without any row, which is no standby, so nobody knows how old what it shows is.
    monkeypatch.setenv("LOGS_READ_DATABASE_URL", stores.main)
    row = system(logs, component="c")

    assert [event["id"] for event in told(run("search", "--component", "c", "--json"))] == [str(row["id"])]


def test_a_search_goes_on_over_pages_until_it_has_enough(run, logs, monkeypatch):
    monkeypatch.setattr("headhunter.commands.log_reading.TAIL_MOST", 2)
    calls = [llm(logs, status="error", created_at=NOW - timedelta(seconds=n)) for n in range(6)]

    found = told(run("search", "--llm", "--status", "error", "--limit", "5", "--json"))

    assert [event["id"] for event in found] == [str(call["id"]) for call in calls[:5]]


def test_a_line_tells_the_event_and_is_no_command_to_the_terminal(run, logs):
    system(logs, level="ERROR", message="\x1b[31mfirst\nsecond [bold]", error_type="ValueError", request_id="r-9")

    (line,) = run("search").stdout.splitlines()

    assert "ERROR    c  \\x1b[31mfirst\\nsecond [bold]  ValueError  request_id=r-9" in line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "--level", "loud"], "level: Input should be"),
        (["search", "--extra-contains", "["], "give a JSON object"),
        (["search", "--extra-path", "$.a ? ("], "syntax error"),
        (["search", "--since", "1000d"], "longer than 366 days"),
        (["search", "--llm", "--text", "x"], "text: "),
        (["story", "r", "--since", "40d"], "longer than 31 days"),
        (["search", "--request", ""], "request_id: "),
        (["story", ""], "the id is empty"),
        (["event", str(uuid4())], "holds no time"),
    ],
)
def test_what_cannot_be_is_wrong_usage_and_said(run, logs, arguments, sentence):
    result = run(*arguments)

    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.replace("│", " ").split())


def test_tail_shows_the_newest_last(run, logs):
    rows = [system(logs, created_at=NOW - timedelta(seconds=n)) for n in range(4)]

    assert [event["id"] for event in told(run("tail", "-n", "2", "--json"))] == [str(rows[1]["id"]), str(rows[0]["id"])]


def test_tail_follows_what_comes_in(stores, logs):
    first = system(logs, created_at=datetime.now(UTC))
    following = subprocess.Popen(
        [sys.executable, "-m", "headhunter", "logs", "tail", "--follow", "--json"],
        env={"PATH": os.environ["PATH"], "LOGS_DATABASE_URL": stores.logs},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert json.loads(following.stdout.readline())["id"] == str(first["id"])
        # Older than the first, and later in: a follower misses nothing for that.
        late = system(logs, created_at=datetime.now(UTC) - timedelta(seconds=2))
        assert json.loads(following.stdout.readline())["id"] == str(late["id"])
    finally:
        following.kill()
        following.wait()
        following.stdout.close()


@pytest.fixture
def follow(run, monkeypatch):
    """A function that follows, lets each of *happenings* come to pass while it pauses, and tells what it showed."""
    monkeypatch.setattr("headhunter.commands.log_reading.TAIL_MOST", 2)

    def follow(*happenings):
        left = iter(happenings)

        async def pause(_seconds):
            happens = next(left, None)
            if happens is None:
                raise KeyboardInterrupt
            happens()

        monkeypatch.setattr("headhunter.commands.log_reading.asyncio.sleep", pause)
        return run("tail", "-n", "1", "--follow", "--json")

    return follow


def test_who_follows_sees_what_comes_in_late_behind_many_others_and_nothing_twice(follow, logs):
    rows = [system(logs, created_at=datetime.now(UTC) - timedelta(seconds=n)) for n in range(6)]
    came = []

    def come(seconds):
        came.append(system(logs, created_at=datetime.now(UTC) - timedelta(seconds=seconds)))

    result = follow(lambda: come(20), lambda: come(0), lambda: come(30))

    assert [event["id"] for event in told(result)] == [str(row["id"]) for row in [rows[0], *came]]
    assert result.stderr == ""


def test_who_follows_more_than_can_be_looked_through_is_told_once(follow, logs, monkeypatch):
    monkeypatch.setattr("headhunter.commands.log_reading.FOLLOWED_PAGES", 2)
    for _ in range(6):
        system(logs, created_at=datetime.now(UTC))

    result = follow(lambda: None, lambda: None)

    assert result.stderr == "More than 4 events in 60 s: of those that come in late, some are left out.\n"


def test_a_story_is_told_oldest_first_and_nobody_has_none(run, logs):
    rows = [system(logs, request_id="r-7", created_at=NOW - timedelta(minutes=2)), llm(logs, request_id="r-7")]

    assert [event["id"] for event in told(run("story", "r-7", "--json"))] == [str(row["id"]) for row in rows]
    nobody = run("story", "r-8")
    assert (nobody.exit_code, "no event of 'r-8'" in nobody.stderr) == (1, True)


def test_an_event_is_shown_whole(run, logs):
    row = llm(logs, prompt="a very long question")

    assert "a very long question" in run("event", str(row["id"])).stdout
