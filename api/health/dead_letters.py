"""The check of dead letters: events of the last day that could not become rows."""

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, warning
from api.health.thresholds import DEAD_LETTERS_WARN

_BY_REASON = """
SELECT reason, count(*) FROM public.dead_letters
WHERE created_at > pg_catalog.now() - interval '24 hours'
GROUP BY reason ORDER BY count(*) DESC, reason
"""
_SHOWN_REASONS = 3


def check_dead_letters(dependencies: Dependencies) -> CheckResult:
    """How many events of the last 24 hours are dead letters, and why."""
    with dependencies.logs_database() as connection:
        counts = connection.execute(_BY_REASON).fetchall()
    total = sum(count for _, count in counts)
    if total < DEAD_LETTERS_WARN:
        return CheckResult.of([], value=total, unit="events", summary="No dead letters in the last 24 hours.")
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts[:_SHOWN_REASONS])
    more = ", ..." if len(counts) > _SHOWN_REASONS else ""
    sentence = (
        f"{total} events of the last 24 hours could not become rows ({reasons}{more}). They are kept with their "
        "reasons: look at them with `headhunter logs dead-letters` and correct the producer."
    )
    return CheckResult.of([warning(sentence)], value=total, unit="events")
