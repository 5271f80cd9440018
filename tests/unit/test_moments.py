"""Times and spans as operators write them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headhunter.moments import parse_moment, parse_span

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@given(st.integers(0, 10**5), st.sampled_from("smhdw"))
def test_a_span_is_as_many_of_its_unit_as_it_says(number, unit):
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]

    assert parse_span(f" {number}{unit.upper()}") == timedelta(seconds=number * seconds)


@given(st.integers(0, 10_000), st.sampled_from("smhd"))
def test_a_span_is_so_long_before_now(number, unit):
    assert parse_moment(f"{number}{unit}", NOW) == NOW - parse_span(f"{number}{unit}")


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-23, 23))  # noqa: DTZ001 - zones come next
def test_a_written_time_is_read_back_in_utc_whatever_its_zone(naive, hours):
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))

    assert parse_moment(moment.isoformat(), NOW) == moment
    assert parse_moment(moment.isoformat(), NOW).utcoffset() == timedelta()
    assert parse_moment(naive.isoformat(), NOW) == naive.replace(tzinfo=UTC)


@given(st.text())
def test_any_other_text_is_refused_in_no_other_way(text):
    for parse in (parse_span, lambda given_text: parse_moment(given_text, NOW)):
        with suppress(ValueError):
            assert parse(text) is not None


@pytest.mark.parametrize("text", ["999999999w", "0001-01-01T00:00+23:00", "yesterday", "-1d", "1.5h", ""])
def test_what_is_no_time_says_how_one_looks(text):
    with pytest.raises(ValueError, match=r"no time|no span|years 1 to 9999|longer than"):
        parse_moment(text, NOW)
