"""What is due next in a conversion, by what the catalog shows."""

from datetime import UTC, datetime, timedelta

import pytest

from migrator.ops.conversion_state import ConversionState, Step

NOW = datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
FAR, NEAR, PAST = NOW + timedelta(hours=12), NOW + timedelta(hours=11, minutes=59), NOW - timedelta(hours=1)


def state(**changes) -> ConversionState:
    sound = {
        "is_partitioned": False,
        "is_empty": False,
        "missing_indexes": (),
        "has_check": False,
        "bound": None,
        "is_validated": False,
        "now": NOW,
    }
    return ConversionState(**sound | changes)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"is_partitioned": True}, Step.NOTHING),
        ({"is_empty": True}, Step.REPLACE_EMPTY),
        ({"is_empty": True, "has_check": True, "bound": FAR}, Step.REPLACE_EMPTY),
        ({"missing_indexes": ("key",)}, Step.BUILD_INDEX),
        ({"missing_indexes": ("key",), "has_check": True, "bound": FAR}, Step.BUILD_INDEX),
        ({"missing_indexes": ("key",), "has_check": True, "bound": PAST}, Step.DROP_BOUND),
        ({}, Step.ADD_BOUND),
        ({"has_check": True, "bound": FAR}, Step.VALIDATE_BOUND),
        ({"has_check": True, "bound": FAR, "is_validated": True}, Step.SWAP),
        ({"has_check": True, "bound": NEAR, "is_validated": True}, Step.DROP_BOUND),
        ({"has_check": True, "bound": NEAR}, Step.DROP_BOUND),
        ({"has_check": True, "bound": PAST}, Step.DROP_BOUND),
        ({"has_check": True, "bound": None}, Step.DROP_BOUND),
    ],
)
def test_the_next_step_follows_from_the_catalog_alone(changes, step):
    assert state(**changes).next_step is step
