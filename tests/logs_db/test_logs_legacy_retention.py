"""An adopted legacy database with 60 days of rows, and retention newly set to 30: what goes when, and on whose word."""

from datetime import timedelta

import psycopg
import pytest

from logs_db import retention, retention_states, thinning
from logs_db.environment import ENVIRONMENT
from logs_db.partitions import list_partitions
from logs_db.retention_plan import Fate, Retention
from migrator.partitioning import midnight
from migrator.upgrade import upgrade_to_head
from tests.fixtures.retention import ago, exists

THIRTY = Retention(system_logs=30)
SIXTY_DAYS = """
INSERT INTO system_logs (created_at, level, component, message)
SELECT date_trunc('day', now(), 'UTC') - n * interval '12 hours' + interval '1 hour', 'INFO', 'c', 'm'
FROM generate_series(1, 120) AS n
"""
OLDEST = "SELECT min(created_at), count(*) FROM system_logs"


@pytest.fixture
def adopted(legacy_url):
    """A connection to what an upgrade made of it; one row is dated -infinity, as a broken client may have done."""
    with psycopg.connect(legacy_url, autocommit=True, options="-c TimeZone=UTC") as connection:
        connection.execute(SIXTY_DAYS)
        connection.execute(
            "INSERT INTO system_logs (created_at, level, component, message) VALUES ('-infinity', 'INFO', 'c', 'm')"
        )
        upgrade_to_head(ENVIRONMENT, legacy_url)
        yield connection


def fates(connection) -> set[Fate]:
    return {each.fate for each in retention.read_plan(connection, THIRTY)[0].partitions}


def test_nothing_goes_before_it_is_confirmed_then_old_rows_in_batches_and_at_last_the_legacy_partition_as_a_whole(
    adopted, monkeypatch
):
    monkeypatch.setattr(thinning, "BATCH_ROWS", 7)

    assert retention.run(adopted, THIRTY) == retention.RetentionReport()
    assert fates(adopted) == {Fate.UNCONFIRMED, Fate.KEPT}
    assert adopted.execute("SELECT count(*) FROM system_logs").fetchone() == (121,)

    retention.confirm(adopted, "system_logs", "ada")
    assert fates(adopted) == {Fate.THINNED, Fate.KEPT}
    assert retention.run(adopted, THIRTY).thinned_rows == 61
    assert retention_states.read_kept_since(adopted, "system_logs") == midnight(ago(30))
    assert adopted.execute(OLDEST).fetchone() == (midnight(ago(30)) + timedelta(hours=1), 60)

    legacy = list_partitions(adopted, "system_logs")[0]
    before = retention.run(adopted, THIRTY, now=legacy.upper + timedelta(days=30, seconds=-1))
    assert before.dropped == ()
    report = retention.run(adopted, THIRTY, now=legacy.upper + timedelta(days=30))
    assert report.dropped == (legacy.name,)
    assert not exists(adopted, legacy.name)
    assert adopted.execute("SELECT count(*) FROM llm_logs").fetchone() == (0,)


def test_thinning_stops_when_its_time_is_over_and_goes_on_in_the_next_pass(adopted, monkeypatch):
    monkeypatch.setattr(thinning, "BATCH_ROWS", 7)
    retention.confirm(adopted, "system_logs", "ada")
    monkeypatch.setattr(thinning, "THIN_SECONDS", 0.0)
    assert retention.run(adopted, THIRTY).thinned_rows == 0

    monkeypatch.setattr(thinning, "THIN_SECONDS", 10.0)
    with psycopg.connect(adopted.info.dsn, password=adopted.info.password) as writer:
        # A row that somebody is just correcting is left for the next pass.
        writer.execute("SELECT FROM system_logs WHERE created_at = '-infinity' FOR UPDATE")
        first = retention.run(adopted, THIRTY).thinned_rows
    assert first + retention.run(adopted, THIRTY).thinned_rows == 61
    assert first == 60
