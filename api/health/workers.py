"""The check of the workers: running, silent, alive without progress, upgrading, or waiting."""

import time
from collections.abc import Sequence

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.thresholds import WORKER_GONE_SECONDS, WORKER_SILENT_SECONDS, WORKER_STUCK_SECONDS
from log_events.heartbeat import Seen, WorkerHeartbeat

_NONE = "No worker is running: start `headhunter worker`; events wait in the queue until then."


def check_workers(dependencies: Dependencies) -> CheckResult:
    """How many workers get work done; it fails where none does, and warns of the others where some do."""
    seen = dependencies.queue.heartbeats()
    troubles = [(one, _trouble(one)) for one in seen]
    working = sum(trouble is None for _, trouble in troubles)
    if working:
        findings = [
            warning(trouble.sentence)
            for one, trouble in troubles
            if trouble is not None and one.age_seconds <= WORKER_GONE_SECONDS
        ]
    else:
        findings = [trouble for _, trouble in troubles if trouble is not None]
        if all(_is_silent(one) for one in seen):
            findings.insert(0, failure(_NONE))
    findings += _hindered(seen)
    summary = f"{working} of {len(seen)} workers at work." if seen else ""
    return CheckResult.of(findings, value=working, unit="workers", summary=summary)


def _hindered(seen: Sequence[Seen[WorkerHeartbeat]]) -> list[Finding]:
    """What maintenance cannot do, once however many workers say so."""
    troubles = {
        trouble: one.report.name for one in seen if not _is_silent(one) for trouble in one.report.troubles.items()
    }
    return [
        warning(f"Worker {name} cannot {job}: {reason.rstrip('.')}. Rows are written all the same.")
        for (job, reason), name in troubles.items()
    ]


def _is_silent(seen: Seen[WorkerHeartbeat]) -> bool:
    return seen.age_seconds > WORKER_SILENT_SECONDS


def _trouble(seen: Seen[WorkerHeartbeat]) -> Finding | None:
    worker = seen.report
    if _is_silent(seen):
        return warning(
            f"Worker {worker.name} has been silent for {seen.age_seconds:.0f} s: it is stopped, dead or cut off from "
            "Redis; look at its log and start it again. What it had in hand is taken over by others."
        )
    if worker.state == "running":
        return _stuck(worker)
    if worker.state == "upgrading":
        return warning(_with_message(f"Worker {worker.name} is upgrading the logs schema, nothing is written.", worker))
    if worker.state == "stopping":
        return warning(f"Worker {worker.name} is stopping.")
    return failure(_with_message(f"Worker {worker.name} is {worker.state.replace('_', ' ')}.", worker))


def _stuck(worker: WorkerHeartbeat) -> Finding | None:
    # Two clocks: the worker's and ours.  Machines whose clocks differ by more than the limit have other troubles first.
    stuck_seconds = time.time() - worker.last_progress_at
    if stuck_seconds <= WORKER_STUCK_SECONDS:
        return None
    return failure(
        f"Worker {worker.name} is alive but has made no progress for {stuck_seconds:.0f} s: look at its log and at "
        "locks in pg_stat_activity, then restart it."
    )


def _with_message(sentence: str, worker: WorkerHeartbeat) -> str:
    return f"{sentence} It says: {worker.message}" if worker.message else sentence
