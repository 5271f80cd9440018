"""
The latency sketch: how many calls fell into each of some 440 buckets, each 5 % wider than the one before.

Sketches of any hours, models or workers add up bucket by bucket, so a percentile over all of them is honest: it is off
by 5 % at most.  The mean of percentiles would be off by anything.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

INT32_MAX: Final = 2**31 - 1


def _upper_bounds() -> tuple[int, ...]:
    """In whole numbers: a logarithm would put some milliseconds into one bucket here and into another in SQL."""
    bounds = [1]
    while bounds[-1] < INT32_MAX:
        bounds.append(105 ** len(bounds) // 100 ** len(bounds))
    return tuple(bounds)


UPPER_MS: Final = _upper_bounds()
"""The most milliseconds that each bucket takes: the whole part of 1.05 to the power of its number."""


def bucket_of(milliseconds: int) -> int:
    """The least n with 1.05^n >= *milliseconds*; 0 for a millisecond and less."""
    return bisect_left(UPPER_MS, milliseconds)


def percentile_ms(calls_by_bucket: Mapping[int, int], percent: float) -> int | None:
    """
    The milliseconds within which *percent* of the calls were answered, 5 % too many at most; None: there were none.

    Raises:
        ValueError: *percent* is not above 0 and at most 100.
    """
    share = percent / 100
    if not 0 < share <= 1:
        raise ValueError(f"a percentile lies above 0 and at 100 at most, not at {percent}")
    wanted = sum(calls_by_bucket.values()) * share
    answered = 0
    for bucket in sorted(calls_by_bucket):
        answered += calls_by_bucket[bucket]
        if answered >= wanted and calls_by_bucket[bucket]:
            return UPPER_MS[bucket]
    return None
