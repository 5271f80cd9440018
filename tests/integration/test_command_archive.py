"""``headhunter logs archive``: days are archived, listed, verified, put back and asked by hand."""

import json

import pytest
from typer.testing import CliRunner

from headhunter.commands.logs import app
from headhunter.faults import explained
from tests.fixtures.archive import fill_calls, fill_lines, rows_as_text
from tests.fixtures.extra import need
from tests.fixtures.retention import ago, exists, fill_day, names

need("pyarrow")


@pytest.fixture
def run(retained_url, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", retained_url)
    monkeypatch.setenv("LOG_ARCHIVE_URL", str(tmp_path / "archive"))
    return lambda *arguments: CliRunner().invoke(app, ["archive", *arguments])


@pytest.fixture
def lines(retained) -> str:
    name = fill_day(retained, ago(3), rows=0)
    fill_lines(retained, ago(3))
    return name


@pytest.fixture
def calls(retained) -> str:
    name = fill_day(retained, ago(3), table="llm_logs")
    fill_calls(retained, ago(3))
    return name


def asked(run, statement: str):
    return json.loads(run("query", statement, "--json").stdout)


def refusal(result) -> str:
    return explained(result.exception).message


def test_a_day_comes_back_to_the_byte_and_never_over_another_table(run, retained, lines, calls):
    for name in (lines, calls):
        before = rows_as_text(retained, name)
        assert json.loads(run("create", name, "--json").stdout)[0]["rows"] == len(before)
        assert json.loads(run("restore", name, "--json").stdout) == {"table": f"restored_{name}", "rows": len(before)}
        assert rows_as_text(retained, f"restored_{name}") == before

    retained.execute(f"DELETE FROM restored_{lines} WHERE message <> ''")
    refused = run("restore", lines)
    assert refused.exit_code
    assert "Nothing was restored" in refusal(refused)
    assert len(rows_as_text(retained, f"restored_{lines}")) == 1
    assert f"rows are in public.{lines}_again" in run("restore", lines, "--into", f"{lines}_again").stdout


def test_archives_are_listed_and_verified_until_one_is_damaged(run, tmp_path, lines, calls):
    for name in (lines, calls):
        run("create", name)
    assert lines in run("list").stdout
    assert [each["partition"] for each in json.loads(run("list", "--json").stdout)] == [lines, calls]
    assert run("verify").stdout == "2 of 2 archives hold what was archived.\n"

    [file] = (tmp_path / "archive" / "system_logs").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-7])
    verified = run("verify")
    assert (verified.exit_code, verified.stdout) == (1, "1 of 2 archives hold what was archived.\n")
    assert f"{file.name} is damaged" in verified.stderr
    assert json.loads(run("verify", calls, "--json").stdout) == {calls: None}
    assert "is damaged" in refusal(run("restore", lines))
    assert "cannot be read" in refusal(run("query", "SELECT 1"))

    manifest = tmp_path / "archive" / "llm_logs" / f"{calls}.manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 5', '"rows": 6'))
    listed = run("list")
    assert listed.exit_code == 1
    assert "was changed or damaged (its seal is not right)" in listed.stderr
    assert "its seal is not right" in refusal(run("restore", calls))


def test_archives_are_asked_by_sql_and_by_that_nothing_else_is_reached(run, tmp_path, lines, calls):
    for name in (lines, calls):
        run("create", name)
    assert asked(run, "SELECT count(*) AS n, count(extra_data) AS e FROM system_logs") == [{"n": 9, "e": 5}]
    assert asked(run, "SELECT sum(cost_usd)::text AS usd FROM llm_logs WHERE cost_usd BETWEEN 0 AND 10") == [
        {"usd": "3.000012500000"}
    ]
    assert "c" in run("query", "SELECT component, min(created_at) FROM system_logs GROUP BY 1").stdout

    (tmp_path / "secret.csv").write_text("a\n1\n")
    assert "file system operations are disabled" in refusal(run("query", f"SELECT * FROM '{tmp_path}/secret.csv'"))
    for statement in ("DELETE FROM system_logs", f"COPY system_logs TO '{tmp_path}/x.csv'", "SELECT 1; SELECT 2", ""):
        assert "write one SELECT" in refusal(run("query", statement))
    assert "DuckDB cannot answer that" in refusal(run("query", "SELECT no_such FROM system_logs"))


def test_only_a_day_that_is_over_is_archived(run, retained):
    fill_day(retained, ago(0))
    assert run("create", f"system_logs_{ago(0):%Y_%m_%d}").exit_code == 2
    assert run("create", "pg_class").exit_code == 2
    assert "There is no archive of system_logs_1999_01_01" in refusal(run("restore", "system_logs_1999_01_01"))


def test_without_a_place_or_with_a_wrong_one_each_command_says_so(run, monkeypatch):
    monkeypatch.setenv("LOG_ARCHIVE_URL", "gopher://logs")
    assert "kind gopher://, which is not known" in refusal(run("list"))
    monkeypatch.setenv("LOG_ARCHIVE_URL", "s3://key:hush@bucket/logs")
    assert "LOG_ARCHIVE_URL may hold no credentials" in refusal(run("list"))
    assert "hush" not in refusal(run("list"))
    monkeypatch.delenv("LOG_ARCHIVE_URL")
    assert "LOG_ARCHIVE_URL is not set" in run("list").stderr


def test_retention_by_hand_archives_too(run, retained, monkeypatch, tmp_path):
    monkeypatch.setenv("SYSTEM_LOG_RETENTION_DAYS", "30")
    old = fill_day(retained, ago(31))
    planned = json.loads(CliRunner().invoke(app, ["retention", "plan", "--json"]).stdout)["partitions"]
    assert {each["partition"]: each["next pass"] for each in planned}[old] == "dropped"
    CliRunner().invoke(app, ["retention", "run"])
    assert not exists(retained, old)
    assert old not in names(retained)
    assert [each["partition"] for each in json.loads(run("list", "--json").stdout)] == [old]
