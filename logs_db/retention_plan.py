"""What of the log tables goes when, and what stays and why: told from partitions, settings and the clock alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from migrator.partitioning import DAY, midnight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logs_db.retention_states import TableState
    from migrator.partitioning import Partition

VARIABLES: Final = {
    "system_logs": "SYSTEM_LOG_RETENTION_DAYS",
    "llm_logs": "LLM_LOG_RETENTION_DAYS",
    "llm_payloads": "LLM_PAYLOAD_RETENTION_DAYS",
}
"""Which environment variable says how long the rows of a table are kept."""

CONFIRM: Final = "look at `headhunter logs retention plan`, then run `headhunter logs retention confirm`"


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days each log table keeps its rows; None: for ever."""

    system_logs: int | None = None
    llm_logs: int | None = None
    llm_payloads: int | None = None

    def days_of(self, table: str) -> int | None:
        """
        The days of *table*.

        Prompts and responses never outlive their calls, by which alone they are found: the shorter of both counts.
        """
        if table == "llm_payloads":
            return min((days for days in (self.llm_payloads, self.llm_logs) if days is not None), default=None)
        return {"system_logs": self.system_logs, "llm_logs": self.llm_logs}[table]

    @property
    def all_days(self) -> list[int]:
        """Those that are set."""
        return [days for table in VARIABLES if (days := self.days_of(table)) is not None]


class Fate(StrEnum):
    """What the next pass does with a partition."""

    KEPT = "kept"
    DROPPED = "dropped"
    THINNED = "thinned"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Planned:
    """
    A partition, what becomes of it in the next pass, and why.

    Args:
        goes_at: When all of it is past retention; None: never.
        cut_before: Rows before this go in the next pass; None: none goes singly.
    """

    partition: Partition
    fate: Fate
    why: str
    goes_at: datetime | None = None
    cut_before: datetime | None = None


def plan_table(
    partitions: Iterable[Partition], days: int | None, now: datetime, state: TableState, *, is_archived: bool = False
) -> list[Planned]:
    """
    What becomes of each of *partitions* of one table.

    Args:
        partitions: In any order.
        days: For how many days rows are kept; None: for ever.
        now: By the database's clock.
        state: What is remembered of the table.
        is_archived: Nothing goes before it is in an archive; that stands for consent, and rows never go singly.
    """
    if days is None:
        variable = VARIABLES[state.table]
        return [Planned(partition, Fate.KEPT, f"for ever: {variable} is not set") for partition in partitions]
    return [_planned(partition, timedelta(days=days), now, state, is_archived) for partition in partitions]


def _planned(partition: Partition, span: timedelta, now: datetime, state: TableState, is_archived: bool) -> Planned:
    until, goes_at = partition.upper, None if partition.upper is None else partition.upper + span
    if until is not None and goes_at is not None and goes_at <= now:
        if is_archived or state.may_lose(partition.lower, until):
            return Planned(partition, Fate.DROPPED, f"all of it is older than {span.days} days", goes_at)
        return Planned(partition, Fate.UNCONFIRMED, f"it was there before retention was: {CONFIRM}", goes_at)
    horizon = midnight((now - span).date())
    if not _is_broad(partition) or (partition.lower is not None and partition.lower >= horizon):
        return Planned(partition, Fate.KEPT, f"for {span.days} days", goes_at)
    if is_archived:
        return Planned(partition, Fate.KEPT, "as a whole until all of it can go into the archive", goes_at)
    return _thinned(partition, span, goes_at, horizon, state)


def _thinned(
    partition: Partition, span: timedelta, goes_at: datetime | None, horizon: datetime, state: TableState
) -> Planned:
    agreed = horizon if state.may_lose(partition.lower, horizon) else state.consented_until
    if agreed is None or (partition.lower is not None and agreed <= partition.lower):
        why = f"rows older than {span.days} days were there before retention was: {CONFIRM}"
        return Planned(partition, Fate.UNCONFIRMED, why, goes_at)
    why = f"rows older than {span.days} days go in batches; the disk space comes back when all of it goes"
    return Planned(partition, Fate.THINNED, why, goes_at, min(agreed, horizon))


def _is_broad(partition: Partition) -> bool:
    """Whether it spans more than a day, as what the conversion made of the legacy table does."""
    return partition.lower is None or partition.upper is None or partition.upper - partition.lower > DAY
