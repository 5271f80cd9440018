"""The trouble of a job beside the lanes: said once when it begins or changes, told by each heartbeat while it lasts."""

import logging

import psycopg

from migrator.classifier import sentence
from worker.pulse import Pulse

logger = logging.getLogger(__name__)


class Complaint:
    """
    One job's trouble.

    Args:
        job: What cannot be done, in words that follow "cannot".
    """

    def __init__(self, job: str, pulse: Pulse) -> None:
        self._job = job
        self._troubles = pulse.troubles

    def begins(self, reason: str) -> None:
        """Note that the job cannot be done, and why; the same reason again is not said again."""
        if self._troubles.get(self._job) != reason:
            self._troubles[self._job] = reason
            extra = {"event": "maintenance_failed", "job": self._job, "reason": reason}
            logger.warning("a job of maintenance cannot be done now; it is tried again, ingest goes on", extra=extra)

    def ends(self) -> None:
        """Note that the job was done."""
        if self._troubles.pop(self._job, None) is not None:
            logger.info("a job of maintenance is done again", extra={"event": "maintenance_mended", "job": self._job})


def reason_of(error: Exception) -> str:
    """Why a job failed, and what to do about it where that is known."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"{sentence(error)}; name a role that owns the tables in LOGS_MIGRATION_DATABASE_URL"
    return sentence(error) if isinstance(error, psycopg.Error) else type(error).__name__
