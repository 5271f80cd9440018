"""Runs Alembic's upgrade and downgrade with the lock held, each revision again when it could not get its locks."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from alembic import command
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from migrator.bookkeeping import record_failure
from migrator.classifier import ErrorClass, classify, sentence
from migrator.configuration import alembic_config
from migrator.errors import TemporaryError

if TYPE_CHECKING:
    from migrator.environment import Environment
    from migrator.lock import LockProof
    from migrator.progress import Progress
    from migrator.reach import Server

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0


def run_revisions(environment: Environment, server: Server, proof: LockProof, progress: Progress) -> None:
    """
    Bring the database to the environment's head, whatever number of revisions that takes.

    A revision that could not get a lock in time is rolled back and run again after a pause, so that those who wait
    behind it get through; one that works outside a transaction only if it calls itself idempotent.

    Raises:
        TemporaryError: A revision did not get its locks in all its attempts.
        Exception: Whatever else a revision raised; *progress* tells which.
    """
    config = alembic_config(
        environment,
        url=server.url,
        migration_lock=proof,
        budgets=server.budgets,
        progress=progress,
        application_name=server.application_name,
    )
    delays = _Delays(environment.name, progress, server.budgets.lock_attempts)
    attempts = Retrying(
        retry=retry_if_exception(delays.count),
        stop=lambda _: delays.are_too_many,
        wait=wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        before_sleep=delays.report,
        reraise=True,
    )
    try:
        attempts(command.upgrade, config, environment.head)
    except BaseException as error:
        record_failure(server.connect_once, environment, progress, error)
        if delays.is_one(error):
            raise delays.given_up(error) from error
        raise


class _Delays:
    """Counts, for each revision, how often it did not get its locks."""

    def __init__(self, name: str, progress: Progress, limit: int) -> None:
        self._name = name
        self._progress = progress
        self._limit = limit
        self._counts: Counter[str | None] = Counter()

    def is_one(self, error: BaseException) -> bool:
        """Tell whether *error* is a delay, after which the revision may be run again."""
        return classify(error) is ErrorClass.LOCK_TRANSIENT and self._progress.is_repeatable

    def count(self, error: BaseException) -> bool:
        """Count *error* against the revision that is being run, and tell whether it is a delay."""
        self._counts[self._progress.revision] += 1
        return self.is_one(error)

    @property
    def are_too_many(self) -> bool:
        """Whether the revision that is being run has used its attempts up."""
        return self._counts[self._progress.revision] >= self._limit

    def report(self, state: RetryCallState) -> None:
        """Log that the revision is run again after a pause."""
        error = state.outcome.exception() if state.outcome else None
        logger.warning(
            "a revision could not get its locks; trying again",
            extra={
                "event": "revision_delayed",
                "environment": self._name,
                "revision": self._progress.revision,
                "attempt": self._counts[self._progress.revision],
                "reason": sentence(error) if error else "",
            },
        )

    def given_up(self, error: BaseException) -> TemporaryError:
        """Return what to raise when the attempts are used up."""
        return TemporaryError(
            f"Revision {self._progress.revision} of the {self._name} database did not get its locks in {self._limit} "
            f"attempts: {sentence(error)}. It was rolled back, what came before it is kept. Find out who holds the "
            "tables (pg_stat_activity), then start again."
        )
