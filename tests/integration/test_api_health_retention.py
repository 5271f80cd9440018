"""The check of retention: how long rows are kept, and why something that is past it is still there."""

from datetime import timedelta

import psycopg
import pytest

from api.health.dependencies import Dependencies
from api.health.retention import check_retention
from logs_db import detachment, retention
from logs_db.retention_plan import Retention
from migrator.partitioning import midnight
from tests.fixtures.api import NOWHERE
from tests.fixtures.retention import ago, fill_day, know_since

KEPT = {"system_log_retention_days": 30, "llm_log_retention_days": 30}


@pytest.fixture
def look(retained_url):
    """A function that gives what the check says under some settings."""
    return lambda **changes: check_retention(
        Dependencies(NOWHERE.settings(logs_database_url=retained_url, **changes), None)
    )


def test_tables_that_are_kept_for_ever_are_named_with_their_variables(look):
    result = look(llm_log_retention_days=7, llm_payload_retention_days=90)

    assert (result.status, result.value, result.unit) == ("pass", 0, "partitions")
    assert "system_logs for ever (SYSTEM_LOG_RETENTION_DAYS is not set)" in result.message
    assert "llm_payloads for 7 days" in result.message
    assert "prompts and responses go with their calls" in result.message


def test_what_waits_for_consent_is_a_warning_until_somebody_agrees(look, retained):
    fill_day(retained, ago(40))
    retention.first_look(retained)

    result = look(**KEPT)
    assert (result.status, result.value) == ("warn", 1)
    assert "`headhunter logs retention confirm`" in result.message

    retention.confirm(retained, "system_logs", "ada")
    retention.run(retained, Retention(system_logs=30))
    assert look(**KEPT).status == "pass"


def test_what_should_be_gone_for_more_than_an_hour_is_named(look, retained, retained_url, monkeypatch):
    monkeypatch.setattr(detachment, "DETACH_SECONDS", 0.2)
    know_since(retained, 100)
    old = fill_day(retained, ago(40))

    assert old in look(**KEPT).message

    with psycopg.connect(retained_url) as reader:
        reader.execute("SELECT count(*) FROM system_logs").fetchone()
        retention.run(retained, Retention(system_logs=30))
        assert look(**KEPT).status == "warn"

    retention.run(retained, Retention(system_logs=30), before_drop=_full)
    result = look(**KEPT)
    assert (result.status, result.value) == ("warn", 1)
    assert f"{old} (detached) should be gone by now" in result.message


def test_what_has_just_grown_too_old_is_no_trouble_yet(look, retained, monkeypatch):
    know_since(retained, 100)
    fill_day(retained, ago(31))
    monkeypatch.setattr("api.health.retention.server_time", lambda _: midnight(ago(0)) + timedelta(minutes=59))

    assert look(**KEPT).status == "pass"


def _full(*_):
    raise OSError(28, "No space left on device")
