"""Days that events need and nobody has made yet: made where they can be, and what hinders it where they cannot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg

from log_events.wire import LogEvent
from logs_db import partitions
from logs_db.partitions import ON_DEMAND_PAST_DAYS
from logs_db.retention_states import read_kept_since
from migrator.classifier import sentence
from worker.tables import homes_of


@dataclass(frozen=True, slots=True)
class DaysMade:
    """
    What came of making days for the events of one type.

    Args:
        partitions: Names of those that were made.
        kept_since: The midnight before which retention dropped all days; None: it dropped none.
        impossible: Days that no further try will make, and why.
    """

    partitions: tuple[str, ...] = ()
    kept_since: datetime | None = None
    impossible: Mapping[date, str] = field(default_factory=dict)


def make_days(
    connection: psycopg.Connection[Any],
    struct: type[LogEvent],
    days: Iterable[date],
    *,
    past_days: int = ON_DEMAND_PAST_DAYS,
) -> DaysMade:
    """
    Make the partitions of *days* for the events of *struct*, each for itself; days that are there are left alone.

    Raises:
        psycopg.Error: It could not be done now; try again.
    """
    homes = [table.name for table in homes_of(struct)]
    made: list[str] = []
    impossible: dict[date, str] = {}
    for day in sorted(days):
        try:
            for table in homes:
                made += partitions.ensure_days(connection, table, [day], past_days=past_days)
        except (psycopg.errors.DuplicateTable, ValueError) as exc:
            impossible[day] = sentence(exc)
    return DaysMade(tuple(made), read_kept_since(connection, homes[0]), impossible)
