"""The check of producers: what they hold in their buffers, and what they had to drop."""

from collections.abc import Sequence

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, warning
from api.health.thresholds import BUFFERED_WARN_EVENTS, PRODUCER_GONE_SECONDS
from log_events.heartbeat import ProducerReport


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
    spools = _spools(alive)
    if spools:
        kept = ", ".join(f"{size / 2**20:.1f} MiB on {host}" for host, size in sorted(spools.items()))
        findings.append(
            warning(
                f"Producers keep accepted events on disk ({kept}), because Redis was away or full: they send them by "
                "themselves, oldest first. See the check of the queue."
            )
        )
    on_disk = "" if spools else ", none on disk"
    summary = f"{len(alive)} producers report, {buffered} events in their buffers{on_disk}."
    return CheckResult.of(findings, value=dropped, unit="events", summary=summary)


def _spools(reports: Sequence[ProducerReport]) -> dict[str, int]:
    """What the fullest spool of each host holds: programs that share a folder all report the whole of it."""
    spools: dict[str, int] = {}
    for report in reports:
        if report.spool_bytes:
            spools[report.host] = max(spools.get(report.host, 0), report.spool_bytes)
    return spools
