"""Events that come too late for their day: retention has dropped it, and it is never made again."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from log_events.llm_log import LlmLogEvent
from log_events.wire import LogEvent
from worker.decode import Dead, Row
from worker.verdicts import Reason, RejectedError

KeptSince = Mapping[type[LogEvent], datetime]
"""The midnight before which the days of a table of events were dropped; a table that lost none is not in it."""


def expire(rows: Sequence[Row], dead: Sequence[Dead], kept_since: KeptSince) -> tuple[list[Row], list[Dead]]:
    """The same, but those of *rows* whose day was dropped are dead; for a batch that met a missing day."""
    expired = [row for row in rows if _is_expired(row, kept_since)]
    kept = [row for row in rows if not _is_expired(row, kept_since)]
    return kept, [*dead, *(_dead(row, kept_since[type(row.event)]) for row in expired)]


def _is_expired(row: Row, kept_since: KeptSince) -> bool:
    midnight = kept_since.get(type(row.event))
    return midnight is not None and row.event.created_at < midnight


def _dead(row: Row, midnight: datetime) -> Dead:
    event_type = "llm_log" if isinstance(row.event, LlmLogEvent) else "system_log"
    detail = f"{row.event.created_at.isoformat()}, and days before {midnight.date()} were dropped"
    return Dead(row.rejected(RejectedError(Reason.EXPIRED, detail, event_type)), row.entry, row.kind)
