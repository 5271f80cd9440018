"""The check of retention: how long rows are kept, and what is past that and still there."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, warning
from api.health.thresholds import RETENTION_LATE_SECONDS
from logs_db.detachment import Detached, read_detached
from logs_db.partitions import server_time
from logs_db.retention import TablePlan, read_plan
from logs_db.retention_plan import CONFIRM, VARIABLES, Fate, Retention

_LATE = timedelta(seconds=RETENTION_LATE_SECONDS)
_CURE = "see what the workers say of it, or run `headhunter logs retention run`"


def check_retention(dependencies: Dependencies) -> CheckResult:
    """How many partitions are past their retention and still there, and why."""
    kept = dependencies.settings.retention
    with dependencies.logs_database() as connection:
        now = server_time(connection)
        is_archived = dependencies.settings.log_archive_url is not None
        plans = read_plan(connection, kept, is_archived=is_archived, now=now)
        detached = read_detached(connection)
    unconfirmed = [each for plan in plans for each in plan.partitions if each.fate is Fate.UNCONFIRMED]
    late = [*_late_partitions(plans, now), *_late_tables(detached, kept, now)]
    findings: list[Finding] = []
    if unconfirmed:
        findings.append(
            warning(
                f"{len(unconfirmed)} partitions hold rows past their retention that were there before it and wait for "
                f"your word: {CONFIRM}."
            )
        )
    if late:
        findings.append(warning(f"{', '.join(late)} should be gone by now: {_CURE}."))
    return CheckResult.of(findings, value=len(unconfirmed) + len(late), unit="partitions", summary=_summary(kept))


def _late_partitions(plans: Sequence[TablePlan], now: datetime) -> list[str]:
    return [
        each.partition.name
        for plan in plans
        for each in plan.partitions
        if each.fate is Fate.DROPPED and each.goes_at is not None and each.goes_at + _LATE < now
    ]


def _late_tables(detached: Sequence[Detached], kept: Retention, now: datetime) -> list[str]:
    """Those that are detached already: what holds them up is their archive, or a consent that was there before."""
    return [
        f"{each.name} (detached)"
        for each in detached
        if each.until + timedelta(days=kept.days_of(each.table) or 0) + _LATE < now
    ]


def _summary(kept: Retention) -> str:
    spans = (
        f"{table} for ever ({VARIABLES[table]} is not set)"
        if (days := kept.days_of(table)) is None
        else f"{table} for {days} days"
        for table in VARIABLES
    )
    told = f"Kept: {', '.join(spans)}."
    if kept.llm_payloads is None or kept.llm_payloads == kept.days_of("llm_payloads"):
        return told
    longer, shorter = VARIABLES["llm_payloads"], VARIABLES["llm_logs"]
    return f"{told} {longer} is longer than {shorter}: prompts and responses go with their calls."
