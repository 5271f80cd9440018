"""Bytes of the logs database by table and partition, in health and for operators."""

import json

import psycopg
import pytest
from typer.testing import CliRunner

from api.health.dependencies import Dependencies
from api.health.size import check_size
from headhunter.commands.db import app
from logs_db import size
from logs_db.size import read_size
from tests.fixtures.api import NOWHERE
from tests.fixtures.retention import ago, fill_day


@pytest.fixture
def look(retained_url):
    """A function that gives what the check says under some settings."""
    return lambda **changes: check_size(Dependencies(NOWHERE.settings(logs_database_url=retained_url, **changes), None))


def table(sizes, name):
    return next(table for table in sizes.tables if table.name == name)


def test_sizes_are_postgresqls_own_and_growth_is_of_days_that_are_over(retained):
    full = [fill_day(retained, ago(days), rows=2000) for days in range(1, 4)]
    # What the fixture made for yesterday, and today with the days ahead, tell nothing of it.
    fill_day(retained, ago(0), rows=50_000)

    sizes = read_size(retained)

    found = {piece.name: piece.bytes for piece in table(sizes, "system_logs").pieces}
    for name, bytes_ in found.items():
        assert retained.execute("SELECT pg_total_relation_size(%s::regclass)", [name]).fetchone() == (bytes_,)
    assert table(sizes, "system_logs").growth_bytes == sum(found[name] for name in full) // 3
    assert table(sizes, "system_logs").bytes == sum(found.values())
    assert sizes.total_bytes > sum(each.bytes for each in sizes.tables) > 0
    assert table(sizes, "dead_letters").growth_bytes is None


def test_the_limit_is_told_ahead_and_when_it_is_reached(retained, look):
    fill_day(retained, ago(1), rows=2000)
    sizes = read_size(retained)

    assert look().status == "pass"
    far = sizes.total_bytes + 20 * sizes.growth_bytes
    assert look(logs_database_max_bytes=far).status == "pass"
    near = look(logs_database_max_bytes=sizes.total_bytes + 10 * sizes.growth_bytes)
    assert (near.status, near.unit) == ("warn", "bytes")
    assert "will be reached in 10 days. Give it more disk" in near.message
    assert look(logs_database_max_bytes=1000).status == "fail"
    # Retention drops as much as comes, so the same limit will do.
    kept = dict.fromkeys(("system_log_retention_days", "llm_log_retention_days"), 1)
    assert look(logs_database_max_bytes=far - 10 * sizes.growth_bytes, **kept).status == "pass"


def test_tables_full_of_dead_rows_are_named_with_the_cure(retained, look, monkeypatch):
    name = fill_day(retained, ago(1), rows=200)
    retained.execute("DELETE FROM system_logs")
    retained.execute("SELECT pg_stat_force_next_flush()")
    retained.execute("SELECT 1")
    monkeypatch.setattr(size, "DEAD_ROWS", 100)

    found = look()

    assert found.status == "warn"
    assert f"VACUUM public.{name};" in found.message


def test_db_status_shows_tables_and_partitions_for_people_and_programs(retained, retained_url, monkeypatch):
    name = fill_day(retained, ago(1), rows=2000)
    monkeypatch.setenv("LOGS_DATABASE_URL", retained_url)
    monkeypatch.setenv("LOGS_DATABASE_MAX_BYTES", "1000")
    monkeypatch.setenv("COLUMNS", "200")

    shown = CliRunner().invoke(app, ["status", "logs"])
    assert shown.exit_code == 0, shown.output
    assert f"  {name}" in shown.output
    assert "1000 bytes, reached" in shown.output

    told = json.loads(CliRunner().invoke(app, ["status", "logs", "--json"]).output)["size"]
    assert (told["max_bytes"], told["days_until_max"]) == (1000, 0)
    assert name in [piece["name"] for table in told["tables"] for piece in table["pieces"]]


def test_db_status_does_not_wait_for_who_has_locked_a_table(retained_url, monkeypatch):
    monkeypatch.setenv("LOGS_DATABASE_URL", retained_url)
    with psycopg.connect(retained_url) as other:
        other.execute("LOCK TABLE dead_letters")
        result = CliRunner().invoke(app, ["status", "logs", "--json"])

    assert (result.exit_code, "size" in json.loads(result.output)) == (0, False)
