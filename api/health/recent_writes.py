"""The check of recent writes: events that wait although nothing is written.  Idle is not broken."""

import threading
import time

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.thresholds import WRITE_FAIL_SECONDS, WRITE_WARN_SECONDS
from log_events.event_queue import QueueDepth
from log_events.heartbeat import Seen, WorkerHeartbeat


class RecentWrites:
    """
    The check, with what it remembers from call to call: since when it has seen the list not empty.

    The stream tells the age of its oldest entry; the list does not, so that the first look at it can blame nobody.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._list_waits_since: float | None = None

    def __call__(self, dependencies: Dependencies) -> CheckResult:
        """Whether what waits is being written."""
        depth = dependencies.queue.depth()
        quiet_seconds = _quiet_seconds(dependencies.queue.heartbeats())
        waiting_seconds = max(depth.oldest_age_seconds or 0.0, self._list_age_seconds(depth))
        if not depth.events:
            return CheckResult.of([], value=_rounded(quiet_seconds), unit="s", summary="Nothing waits to be written.")
        # An event that has only just come after a quiet night is no sign of trouble.
        stalled_seconds = waiting_seconds if quiet_seconds is None else min(waiting_seconds, quiet_seconds)
        return CheckResult.of(
            _findings(stalled_seconds),
            value=_rounded(quiet_seconds),
            unit="s",
            summary=f"{depth.events} events wait; {_last_write(quiet_seconds)}.",
        )

    def _list_age_seconds(self, depth: QueueDepth) -> float:
        now = time.monotonic()
        with self._lock:
            if not depth.list_events:
                self._list_waits_since = None
            elif self._list_waits_since is None:
                self._list_waits_since = now
            return 0.0 if self._list_waits_since is None else now - self._list_waits_since


def _findings(stalled_seconds: float) -> list[Finding]:
    sentence = (
        f"Nothing has been written for {stalled_seconds:.0f} s although events wait: see the check of the workers and "
        "their logs; what waits is safe in the queue."
    )
    if stalled_seconds > WRITE_FAIL_SECONDS:
        return [failure(sentence)]
    return [warning(sentence)] if stalled_seconds > WRITE_WARN_SECONDS else []


def _quiet_seconds(seen: list[Seen[WorkerHeartbeat]]) -> float | None:
    """Seconds since any worker of the last hour wrote a batch, by their clocks and ours; None where none did."""
    writes = [one.report.last_write_at for one in seen if one.report.last_write_at is not None]
    return max(0.0, time.time() - max(writes)) if writes else None


def _last_write(quiet_seconds: float | None) -> str:
    return "no worker has written yet" if quiet_seconds is None else f"the last write was {quiet_seconds:.1f} s ago"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
