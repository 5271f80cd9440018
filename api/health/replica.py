"""The check of the read replica: how far it is behind, and why it is not read from."""

import time
from typing import Final

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, failure, warning
from api.replica_watch import ANSWER_SECONDS, POLL_SECONDS, ReplicaReport, WrongReplicaError

_LATE_SECONDS: Final = 2 * ANSWER_SECONDS + POLL_SECONDS
_LATE: Final = (
    "The read replica has not been looked at lately; logs are read from the primary if it is too old. See the API's "
    "log, and start the API again if this lasts."
)


def check_replica(dependencies: Dependencies) -> CheckResult:
    """How many bytes of the primary's log the replica has not replayed, and how old what it shows may be."""
    report = dependencies.replica.report if dependencies.replica else None
    if report is None or time.monotonic() - report.looked_at > _LATE_SECONDS:
        return CheckResult.of([warning(_LATE)], value=None, unit="bytes")
    findings = []
    if report.trouble is not None:
        sentence = f"The read replica is not used, for {report.trouble}; logs are read from the primary. "
        findings.append(
            failure(f"{sentence}Correct LOGS_READ_DATABASE_URL.")
            if isinstance(report.trouble, WrongReplicaError)
            else warning(f"{sentence}It is used again as soon as it has caught up; see its log if this lasts.")
        )
    return CheckResult.of(findings, value=report.lag_bytes, unit="bytes", summary=_lag(report))


def _lag(report: ReplicaReport) -> str:
    if report.lag_bytes is None or report.staleness_seconds is None:
        return ""
    return f"The read replica is {report.lag_bytes} bytes and at most {report.staleness_seconds:.1f} s behind."
