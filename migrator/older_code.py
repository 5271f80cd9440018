"""Before a revision shuts older code out: the programs of that code end first, or nothing is run."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from migrator.errors import TemporaryError
from migrator.lineage import read_lineage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from migrator.environment import Environment

    RunningRevisions = Callable[[], Collection[str]]
    """
    Tells the heads of the code of all programs that run on the database now, as far as the caller knows.

    It raises TemporaryError where it cannot be told for the moment.
    """

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_REPORT_SECONDS = 10.0


def await_older_code(
    environment: Environment,
    revision: str | None,
    running_revisions: RunningRevisions,
    *,
    deadline: float,
    budget_seconds: float,
) -> None:
    """
    Return once no program runs whose code the way from *revision* to head would shut out.

    Where the compatibility floor stays as it is, nobody is asked.

    Args:
        environment: Whose revisions are about to be run.
        revision: What the database is at; None: empty, so nothing can run on it.
        running_revisions: Whom to ask.
        deadline: When to give up, by `time.monotonic`.
        budget_seconds: How long that is in all, for the message.

    Raises:
        TemporaryError: Some still run, or it could not be told; nothing was run.
    """
    lineage = read_lineage(environment)
    floor = lineage.floors[environment.head]
    if revision is None or lineage.floors.get(revision) == floor:
        return
    report_at = time.monotonic()
    while True:
        try:
            older = sorted(head for head in running_revisions() if lineage.is_older(head, floor))
            trouble = f"programs of revision {', '.join(older)} still run" if older else None
        except TemporaryError as error:
            trouble = f"it cannot be told which programs run: {error}"
        if trouble is None:
            return
        now = time.monotonic()
        if now >= deadline:
            raise TemporaryError(
                f"The {environment.name} database is at {revision}, and on the way to {environment.head} code older "
                f"than {floor} stops working, but {trouble}, and that did not change within {budget_seconds:g} s. "
                "Nothing was changed. Stop them, or let the deployment replace them, then start again."
            )
        if now >= report_at:
            extra = {"event": "older_code_awaited", "environment": environment.name, "floor": floor, "reason": trouble}
            logger.warning("the upgrade would shut older code out; waiting for its programs to end", extra=extra)
            report_at = now + _REPORT_SECONDS
        time.sleep(_POLL_SECONDS)
