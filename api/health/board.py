"""Runs the checks at once, each once at a time and each with a deadline, whatever its dependency does."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, HealthStatus
from api.health.thresholds import CHECK_SECONDS
from api.health.trouble import no_answer, sentence_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One health check: its name in the answer, what it asks, and how."""

    name: str
    asks: tuple[str, ...]
    """The dependencies that may be to blame if there is no answer; constants of api.health.trouble."""
    run: Callable[[Dependencies], CheckResult]


@dataclass(frozen=True, slots=True)
class _Run:
    future: Future[CheckResult]
    started: float

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.started


class HealthBoard:
    """
    The checks of one process, over as many threads as there are checks.

    A check that still runs is never started again: a second caller waits for the same answer, and one that has
    outlived its deadline is reported as hung.  So hung dependencies cost at most one thread a check, however often
    health is asked.
    """

    def __init__(self, checks: Sequence[Check], dependencies: Dependencies) -> None:
        self._checks = tuple(checks)
        self._dependencies = dependencies
        self._threads = ThreadPoolExecutor(max_workers=len(self._checks), thread_name_prefix="health")
        self._running: dict[str, _Run] = {}

    async def results(self, names: Collection[str] | None = None) -> dict[str, CheckResult]:
        """The results of all checks, or of those named, within CHECK_SECONDS.  Call it from one event loop only."""
        checks = [check for check in self._checks if names is None or check.name in names]
        runs = {check: self._run(check) for check in checks}
        waiting = [asyncio.wrap_future(run.future) for run in runs.values() if run.age_seconds < CHECK_SECONDS]
        if waiting:
            # Neither a time-out nor a caller who goes away cancels a run: others may be waiting for it too.
            await asyncio.wait(waiting, timeout=CHECK_SECONDS)
        return {check.name: _result(check, run) for check, run in runs.items()}

    def close(self) -> None:
        """Start no more checks; those that run end by their own time-outs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, check: Check) -> _Run:
        run = self._running.get(check.name)
        if run is None or run.future.done():
            run = _Run(self._threads.submit(_answer, check, self._dependencies), time.monotonic())
            self._running[check.name] = run
        return run


def _result(check: Check, run: _Run) -> CheckResult:
    if run.future.done():
        return run.future.result()
    message = f"{no_answer(*check.asks)} This check has been waiting for {run.age_seconds:.1f} s."
    return CheckResult(status=HealthStatus.FAIL, value=None, unit=None, message=message)


def _answer(check: Check, dependencies: Dependencies) -> CheckResult:
    # Whatever goes wrong in one check must not take the others' answers away.
    try:
        return check.run(dependencies)
    except Exception as exc:
        sentence = sentence_of(exc, *check.asks)
        if sentence is None:
            logger.exception("a health check failed", extra={"event": "check_failed", "check": check.name})
            sentence = "This check is broken: the API's log has the error; please report it."
        return CheckResult(status=HealthStatus.FAIL, value=None, unit=None, message=sentence)
