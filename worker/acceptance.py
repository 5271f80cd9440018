"""How old, and how far ahead, the time of an event may be when it is accepted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from logs_db.retention_plan import Retention
from worker.entry import Entry

ACCEPTED_PAST = timedelta(days=30)
"""How old an event may be when it is accepted, where no retention is set."""

ACCEPTED_FUTURE = timedelta(days=1)
"""How far ahead an event's clock may be when it is accepted."""


@dataclass(frozen=True, slots=True)
class AcceptedPast:
    """How old an event of each type may be when it is accepted: as old as its table keeps it."""

    system_log: timedelta = ACCEPTED_PAST
    llm_log: timedelta = ACCEPTED_PAST

    @classmethod
    def by(cls, retention: Retention) -> "AcceptedPast":
        """What *retention* says; 30 days where it says nothing."""
        return cls(_span(retention.system_logs), _span(retention.llm_logs))

    def of(self, event_type: Any) -> timedelta:
        """That of events of this type, whatever stands there instead of a type."""
        return self.llm_log if event_type == "llm_log" else self.system_log

    @property
    def shorter(self) -> timedelta:
        """What an event of any type may be old."""
        return min(self.system_log, self.llm_log)


def accepted_times(entry: Entry, past: timedelta) -> tuple[datetime, datetime]:
    """The earliest and the latest time that an event of *entry* may have, which may be *past* old."""
    return entry.accepted_at - past, entry.accepted_at + ACCEPTED_FUTURE


def _span(days: int | None) -> timedelta:
    return ACCEPTED_PAST if days is None else timedelta(days=days)
