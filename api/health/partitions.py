"""The check of partitions: how many days ahead the log tables can take rows."""

from datetime import UTC, datetime

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.thresholds import PARTITIONS_FAIL_DAYS, PARTITIONS_WARN_DAYS
from logs_db.partitions import covered_until

_CURE = "see the workers, which make them every minute, or run `headhunter db maintain logs`"
_DAY_SECONDS = 86_400


def check_partitions(dependencies: Dependencies) -> CheckResult:
    """For how many days from now on every table has its partitions, without a gap."""
    with dependencies.logs_database() as connection:
        covered = covered_until(connection)
    now = datetime.now(UTC)
    days = {table: _days_ahead(until, now) for table, until in covered.items()}
    findings = [finding for table, ahead in days.items() if (finding := _finding(table, ahead))]
    least = min(days.values(), default=0.0)
    return CheckResult.of(findings, value=round(least, 1), unit="days", summary=f"Covered {least:.1f} days ahead.")


def _days_ahead(until: datetime | None, now: datetime) -> float:
    return 0.0 if until is None else max(0.0, (until - now).total_seconds() / _DAY_SECONDS)


def _finding(table: str, days: float) -> Finding | None:
    if days <= 0:
        return failure(f"{table} has no partition for now, so rows of now have no place: {_CURE}.")
    if days < PARTITIONS_FAIL_DAYS:
        return failure(f"The partitions of {table} end in {days:.1f} days: {_CURE}.")
    return (
        warning(f"The partitions of {table} end in {days:.1f} days: {_CURE}.") if days < PARTITIONS_WARN_DAYS else None
    )
