"""The latency sketch: buckets by whole numbers, the same in Python and PostgreSQL, and percentiles off by 5 %."""

from fractions import Fraction

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs_db.latency_sketch import INT32_MAX, UPPER_MS, bucket_of, percentile_ms
from logs_db.rollups import ABOVE_MS

EDGES = sorted({ms + off for ms in UPPER_MS for off in (-1, 0, 1) if ms + off <= INT32_MAX} | {-INT32_MAX, INT32_MAX})


@given(st.integers(-INT32_MAX - 1, INT32_MAX) | st.sampled_from(EDGES))
def test_a_bucket_is_the_least_power_that_reaches_the_milliseconds(milliseconds):
    bucket = bucket_of(milliseconds)

    assert Fraction(105, 100) ** bucket >= milliseconds
    assert bucket == 0 or Fraction(105, 100) ** (bucket - 1) < milliseconds


def test_postgresql_finds_the_same_bucket_at_every_edge(database_url):
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT width_bucket(ms, %s::bigint[]) FROM unnest(%s::bigint[]) WITH ORDINALITY AS e (ms, n) ORDER BY n",
            [ABOVE_MS, EDGES],
        ).fetchall()

    assert [bucket for (bucket,) in found] == list(map(bucket_of, EDGES))


@given(st.lists(st.integers(0, 100_000), min_size=1), st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_is_five_percent_too_long_at_most(latencies, percent):
    counts = {}
    for latency in latencies:
        counts[bucket_of(latency)] = counts.get(bucket_of(latency), 0) + 1
    exact = sorted(latencies)[-(-len(latencies) * percent // 100) - 1]

    assert exact <= percentile_ms(counts, percent) <= max(1, exact * 1.05)


def test_without_calls_there_is_no_percentile():
    assert percentile_ms({}, 50) is None


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_what_is_no_percentile_is_refused(percent):
    with pytest.raises(ValueError, match="percentile"):
        percentile_ms({1: 1}, percent)
