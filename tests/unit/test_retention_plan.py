"""The plan of retention: what goes when, told from partitions, settings and a clock alone."""

from datetime import UTC, datetime, timedelta

import pytest

from logs_db.retention_plan import Fate, Retention, plan_table
from logs_db.retention_states import TableState
from migrator.partitioning import Partition

NOW = datetime(2026, 11, 25, 3, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
DAY = timedelta(days=1)


def of_day(days_ago: int) -> Partition:
    lower = MIDNIGHT - days_ago * DAY
    return Partition(f"p{days_ago}", lower, lower + DAY)


def state(seen_days_ago: float = 100, agreed_days_ago: float | None = None) -> TableState:
    agreed = None if agreed_days_ago is None else MIDNIGHT - agreed_days_ago * DAY
    return TableState("system_logs", NOW - seen_days_ago * DAY, consented_until=agreed)


LEGACY = Partition("legacy", None, MIDNIGHT - 10 * DAY)


def fates(*partitions: Partition, days: int | None = 30, of: TableState | None = None, **options) -> list[Fate]:
    return [each.fate for each in plan_table(partitions, days, NOW, of or state(), **options)]


def test_a_day_goes_when_its_last_row_is_older_than_retention():
    assert fates(of_day(32), of_day(31), of_day(30), of_day(0)) == ["dropped", "dropped", "kept", "kept"]
    (planned,) = plan_table([of_day(30)], 30, NOW, state())
    assert planned.goes_at == MIDNIGHT + DAY


def test_without_a_number_of_days_nothing_goes_and_the_variable_is_named():
    (planned,) = plan_table([of_day(4000)], None, NOW, state())

    assert (planned.fate, planned.goes_at) == (Fate.KEPT, None)
    assert "SYSTEM_LOG_RETENTION_DAYS" in planned.why


@pytest.mark.parametrize(("agreed", "fate"), [(None, Fate.UNCONFIRMED), (45, Fate.UNCONFIRMED), (39, Fate.DROPPED)])
def test_what_was_there_before_goes_only_as_far_as_somebody_agreed(agreed, fate):
    assert fates(of_day(40), of=state(20, agreed)) == [fate]


def test_what_came_after_the_first_sight_needs_no_consent_though_older_days_wait_for_it():
    assert fates(of_day(60), of_day(40), of=state(50)) == ["unconfirmed", "dropped"]


def test_the_day_of_the_first_sight_goes_once_all_that_was_older_on_it_is_agreed_to():
    first_day = of_day(40)
    assert fates(first_day, of=state(39.5)) == ["unconfirmed"]
    assert fates(first_day, of=state(39.5, 39)) == ["dropped"]


def test_a_partition_of_many_days_is_thinned_up_to_what_is_old_and_agreed_to():
    def cut(of: TableState, days: int = 30) -> datetime | None:
        return plan_table([LEGACY], days, NOW, of)[0].cut_before

    assert cut(state(12)) is None
    assert fates(LEGACY, of=state(12)) == ["unconfirmed"]
    assert cut(state(12, 35)) == MIDNIGHT - 35 * DAY
    assert cut(state(12, 11)) == MIDNIGHT - 30 * DAY
    assert fates(LEGACY, of=state(12, 11), days=9) == ["dropped"]


def test_an_archive_stands_for_consent_and_takes_a_partition_of_many_days_as_a_whole():
    assert fates(of_day(40), of=state(20), is_archived=True) == ["dropped"]
    assert fates(LEGACY, of=state(12, 11), is_archived=True) == ["kept"]
    assert fates(LEGACY, of=state(12), days=9, is_archived=True) == ["dropped"]


def test_a_partition_without_end_is_never_dropped():
    assert fates(Partition("p", None, None), of=state(12, 11)) == ["thinned"]


@pytest.mark.parametrize(
    ("payloads", "calls", "days"), [(7, 90, 7), (90, 7, 7), (None, 7, 7), (7, None, 7), (None, None, None)]
)
def test_prompts_and_responses_never_outlive_their_calls(payloads, calls, days):
    assert Retention(llm_logs=calls, llm_payloads=payloads).days_of("llm_payloads") == days
