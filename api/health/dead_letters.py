"""The check of dead letters: events of the last day that could not become rows, and the room that all of them take."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.thresholds import DEAD_LETTERS_FAIL_SHARE, DEAD_LETTERS_WARN, DEAD_LETTERS_WARN_SHARE
from logs_db.dead_letter_purge import held_bytes
from logs_db.dead_letters import DeadLetterCount, read_counts

_SPAN = timedelta(hours=24)
_SHOWN_REASONS = 3
_CURE = (
    "Correct the producers, send what became sound with `headhunter logs dead-letters replay`, delete what is not "
    "wanted with `headhunter logs dead-letters purge`, or raise DEAD_LETTERS_MAX_BYTES."
)


def check_dead_letters(dependencies: Dependencies) -> CheckResult:
    """How many events of the last 24 hours are dead letters, not replayed, and why; and how full their store is."""
    with dependencies.logs_database() as connection:
        counts = read_counts(connection, since=datetime.now(UTC) - _SPAN)
        held = held_bytes(connection)
    total = sum(count.unreplayed_rows for count in counts)
    found = [_of_today(total, counts), _of_room(held, dependencies.settings.dead_letters_max_bytes)]
    findings = [finding for finding in found if finding is not None]
    summary = "" if findings else "No dead letters in the last 24 hours."
    return CheckResult.of(findings, value=total, unit="events", summary=summary)


def _of_today(total: int, counts: Sequence[DeadLetterCount]) -> Finding | None:
    if total < DEAD_LETTERS_WARN:
        return None
    frequent = sorted((count for count in counts if count.unreplayed_rows), key=lambda count: -count.unreplayed_rows)
    reasons = ", ".join(f"{count.reason} {count.unreplayed_rows}" for count in frequent[:_SHOWN_REASONS])
    more = ", ..." if len(frequent) > _SHOWN_REASONS else ""
    return warning(
        f"{total} events of the last 24 hours could not become rows ({reasons}{more}). They are kept with their "
        "reasons: look at them with `headhunter logs dead-letters list` and correct the producer."
    )


def _of_room(held: int, max_bytes: int) -> Finding | None:
    share = held / max_bytes
    if share < DEAD_LETTERS_WARN_SHARE:
        return None
    sentence = f"Dead letters take {held} bytes, {share:.0%} of DEAD_LETTERS_MAX_BYTES; none is lost. {_CURE}"
    return failure(sentence) if share >= DEAD_LETTERS_FAIL_SHARE else warning(sentence)
