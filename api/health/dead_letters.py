"""The check of dead letters: events of the last day that could not become rows."""

from datetime import UTC, datetime, timedelta

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, warning
from api.health.thresholds import DEAD_LETTERS_WARN
from logs_db.dead_letters import read_counts

_SPAN = timedelta(hours=24)
_SHOWN_REASONS = 3


def check_dead_letters(dependencies: Dependencies) -> CheckResult:
    """How many events of the last 24 hours are dead letters, and why."""
    with dependencies.logs_database() as connection:
        counts = read_counts(connection, since=datetime.now(UTC) - _SPAN)
    total = sum(count.rows for count in counts)
    if total < DEAD_LETTERS_WARN:
        return CheckResult.of([], value=total, unit="events", summary="No dead letters in the last 24 hours.")
    frequent = sorted(counts, key=lambda count: -count.rows)
    reasons = ", ".join(f"{count.reason} {count.rows}" for count in frequent[:_SHOWN_REASONS])
    more = ", ..." if len(counts) > _SHOWN_REASONS else ""
    sentence = (
        f"{total} events of the last 24 hours could not become rows ({reasons}{more}). They are kept with their "
        "reasons: look at them with `headhunter logs dead-letters` and correct the producer."
    )
    return CheckResult.of([warning(sentence)], value=total, unit="events")
