"""``headhunter logs retention``: the plan, the consent to it, and one pass by hand."""

import json

import pytest
from typer.testing import CliRunner

from headhunter.commands.logs import app
from headhunter.faults import explained
from logs_db import detachment, retention
from tests.fixtures.retention import ago, exists, fill_day, know_since, names


@pytest.fixture
def run(retained_url, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", retained_url)
    monkeypatch.setenv("SYSTEM_LOG_RETENTION_DAYS", "30")
    return lambda *arguments, **options: CliRunner().invoke(app, ["retention", *arguments], **options)


def planned(result) -> dict[str, str]:
    return {one["partition"]: one["next pass"] for one in json.loads(result.stdout)["partitions"]}


def test_what_was_there_before_is_shown_then_confirmed_then_dropped(run, retained):
    old, kept = fill_day(retained, ago(40)), fill_day(retained, ago(30))
    retention.first_look(retained)

    plan = planned(run("plan", "--json"))
    assert (plan[old], plan[kept]) == ("unconfirmed", "kept")
    assert json.loads(run("run", "--json").stdout)["dropped"] == []

    refused = run("confirm", input="n\n")
    assert refused.exit_code == 1
    assert old in refused.stdout.replace("\n", "")
    assert planned(run("plan", "--json"))[old] == "unconfirmed"

    agreed = run("confirm", input="y\n")
    assert "all of system_logs that is older than 30 days" in agreed.stdout
    assert planned(run("run", "--dry-run", "--json")) == {old: "dropped"}
    assert old in names(retained)
    assert old in run("run").stdout
    assert not exists(retained, old)
    assert "days before" in run("plan").stdout


def test_where_nothing_is_ever_dropped_there_is_nothing_to_confirm(run, monkeypatch):
    monkeypatch.setenv("SYSTEM_LOG_RETENTION_DAYS", "")

    result = run("confirm", "--yes")

    assert result.exit_code == 2
    assert "LLM_LOG_RETENTION_DAYS" in result.stderr
    assert "kept for ever" in run("plan").stdout


def test_what_is_due_and_cannot_go_makes_the_command_fail(run, retained, retained_url, monkeypatch):
    monkeypatch.setattr(detachment, "DETACH_SECONDS", 0.2)
    know_since(retained, 100)
    fill_day(retained, ago(31))
    with retained.transaction():
        retained.execute("SELECT count(*) FROM system_logs")
        result = run("run")

    assert result.exit_code == 1
    assert "pg_stat_activity" in result.stderr


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "a month"])
def test_a_retention_that_is_no_whole_number_of_days_is_refused_together_with_all_others(run, monkeypatch, value):
    monkeypatch.setenv("SYSTEM_LOG_RETENTION_DAYS", value)
    monkeypatch.setenv("LLM_PAYLOAD_RETENTION_DAYS", value)

    fault = explained(run("plan").exception)

    assert fault.exit_code == 2
    assert "SYSTEM_LOG_RETENTION_DAYS" in fault.message
    assert "LLM_PAYLOAD_RETENTION_DAYS" in fault.message
