"""Events whose day there is not and will not be: retention has dropped it, or its partition cannot be made."""

from collections.abc import Mapping, Sequence

from log_events.llm_log import LlmLogEvent
from log_events.wire import LogEvent
from worker.decode import Dead, Row
from worker.missing_days import DaysMade
from worker.verdicts import Reason, RejectedError

NeededDays = Mapping[type[LogEvent], DaysMade]
"""What came of making the days that a batch needs, by the type of its events; one that was not tried is not in it."""


def set_dayless_aside(rows: Sequence[Row], dead: Sequence[Dead], needed: NeededDays) -> tuple[list[Row], list[Dead]]:
    """The same, but those of *rows* whose day will not be there are dead; for a batch that met a missing day."""
    kept: list[Row] = []
    newly_dead: list[Dead] = []
    for row in rows:
        made = needed.get(type(row.event))
        rejection = None if made is None else _rejection(row, made)
        if rejection is None:
            kept.append(row)
        else:
            newly_dead.append(Dead(row.rejected(rejection), row.entry, row.kind))
    return kept, [*dead, *newly_dead]


def _rejection(row: Row, made: DaysMade) -> RejectedError | None:
    event_type = "llm_log" if isinstance(row.event, LlmLogEvent) else "system_log"
    created_at = row.event.created_at
    if made.kept_since is not None and created_at < made.kept_since:
        detail = f"{created_at.isoformat()}, and days before {made.kept_since.date()} were dropped"
        return RejectedError(Reason.EXPIRED, detail, event_type)
    if created_at.date() in made.impossible:
        return RejectedError(Reason.REFUSED, made.impossible[created_at.date()], event_type)
    return None
