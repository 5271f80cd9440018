"""The check of producers: what they hold in their buffers, and what they had to drop."""

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, warning
from api.health.thresholds import BUFFERED_WARN_EVENTS, PRODUCER_GONE_SECONDS


def check_producers(dependencies: Dependencies) -> CheckResult:
    """How many events the producers of the last hour have dropped since they started."""
    seen = dependencies.queue.producer_reports()
    alive = [one.report for one in seen if one.age_seconds <= PRODUCER_GONE_SECONDS]
    dropped = sum(one.report.dropped_events for one in seen)
    buffered = sum(report.buffered_events for report in alive)
    findings = []
    if dropped:
        names = ", ".join(
            f"{one.report.service or one.report.name} {one.report.dropped_events}"
            for one in sorted(seen, key=lambda one: -one.report.dropped_events)
            if one.report.dropped_events
        )
        findings.append(
            warning(
                f"Producers have dropped {dropped} events ({names}): their buffers were full while Redis was away or "
                "refused events. See the check of the queue."
            )
        )
    if buffered > BUFFERED_WARN_EVENTS:
        findings.append(
            warning(
                f"Producers hold {buffered} events in their buffers, which are lost if they are killed: "
                "see the check of the queue, and whether they reach Redis."
            )
        )
    summary = f"{len(alive)} producers report, {buffered} events in their buffers."
    return CheckResult.of(findings, value=dropped, unit="events", summary=summary)
