"""Runs Alembic's upgrade and downgrade with the lock held, each revision again when it could not get its locks."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from alembic import command
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

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


def run_revisions(
    environment: Environment,
    server: Server,
    proof: LockProof,
    progress: Progress,
) -> None:
    """
    Bring the database to the environment's head, whatever number of revisions that takes.

    A revision that could not get a lock in time is rolled back and run again after a pause, so that those who wait
    behind it get through; one that works outside a transaction only if it calls itself idempotent.

    Raises:
        TemporaryError: A revision did not get its locks in all its attempts.
        Exception: Whatever else a revision raised; *progress* tells which.
    """
    tries: Counter[str | None] = Counter()

    def upgrade() -> None:
        config = alembic_config(
            environment,
            url=server.url,
            migration_lock=proof,
            budgets=server.budgets,
            progress=progress,
            application_name=server.application_name,
        )
        command.upgrade(config, environment.head)

    def is_worth_another_try(error: BaseException) -> bool:
        tries[progress.revision] += 1
        return classify(error) is ErrorClass.LOCK_TRANSIENT and progress.is_repeatable

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning(
            "a revision could not get its locks; trying again",
            extra={
                "event": "revision_delayed",
                "environment": environment.name,
                "revision": progress.revision,
                "attempt": tries[progress.revision],
                "reason": sentence(error) if error else "",
            },
        )

    attempts = Retrying(
        retry=retry_if_exception(is_worth_another_try),
        stop=lambda _: tries[progress.revision] >= server.budgets.lock_attempts,
        wait=wait_random_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        before_sleep=report,
        reraise=True,
    )
    try:
        attempts(upgrade)
    except Exception as error:
        if not (classify(error) is ErrorClass.LOCK_TRANSIENT and progress.is_repeatable):
            raise
        raise TemporaryError(
            f"Revision {progress.revision} of the {environment.name} database did not get its locks in "
            f"{tries[progress.revision]} attempts: {sentence(error)}. It was rolled back, what came before it is "
            "kept. Find out who holds the tables (pg_stat_activity), then start again."
        ) from error
