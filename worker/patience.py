"""Waiting out what is away: a little longer each time, said once when it begins and once when it ends."""

import logging
import threading
from random import random

from log_events.heartbeat import WorkerState

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class StoppedError(Exception):
    """The worker was told to stop while it waited; what it had in hand is still pending and will be delivered again."""


class Patience:
    """
    Pauses between tries at one server, for as long as it takes.

    Args:
        state: What the worker is in while it waits: ``waiting_for_postgres``, ``waiting_for_redis`` and the like.
        stop: Ends every pause at once.
        begun: What the log says when the waiting begins.
        ended: What it says when it is over.
    """

    def __init__(
        self,
        state: WorkerState,
        stop: threading.Event,
        *,
        begun: str = "a server is away; nothing is lost, the worker waits for it",
        ended: str = "a server that was away answers again",
    ) -> None:
        self.state: WorkerState = state
        self.stop = stop
        self._begun = begun
        self._ended = ended
        self.waiting_for: str | None = None
        """Why it waits, in one sentence; None where it does not."""
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def wait(self, reason: str) -> None:
        """
        Pause before the next try.

        Raises:
            StoppedError: The worker was told to stop.
        """
        if self.waiting_for is None:
            extra = {"event": "outage_begun", "state": self.state, "reason": reason}
            logger.warning(self._begun, extra=extra)
        self.waiting_for = reason
        if self.stop.wait(self._pause_seconds * (0.5 + random() / 2)):  # noqa: S311 - jitter is no secret
            raise StoppedError(reason)
        self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def over(self) -> None:
        """Note that the server answers."""
        if self.waiting_for is not None:
            extra = {"event": "outage_ended", "state": self.state}
            logger.info(self._ended, extra=extra)
        self.waiting_for = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
