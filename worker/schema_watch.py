"""Looks now and then whether the schema is still one that this worker knows: a rolling deploy may move it meanwhile."""

import logging
import threading
from contextlib import suppress
from typing import Any

import psycopg

from logs_db.environment import ENVIRONMENT
from migrator.connections import connect
from migrator.errors import MigratorError
from migrator.probe import Probe, Verdict, probe
from worker.pulse import Pulse

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0


class SchemaWatch:
    """
    Reads revision and floor with each beat's pace.

    Args:
        outdated: Set, and the whole worker stopped, when the schema has moved beyond what this code knows.
    """

    def __init__(self, url: str, pulse: Pulse, stop: threading.Event, outdated: threading.Event) -> None:
        self._url = url
        self._pulse = pulse
        self._stop = stop
        self._outdated = outdated
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Look until told to stop; a database that is away is for the lanes to wait out."""
        while not self._stop.wait(LOOK_EVERY_SECONDS):
            try:
                self._judge(self._probe())
            except (psycopg.Error, MigratorError):
                self._close()
        self._close()

    def _judge(self, found: Probe) -> None:
        self._pulse.revision = found.revision
        if not found.verdict.is_usable and found.verdict is not Verdict.BEHIND:
            extra = {"event": "schema_outdated", "revision": found.revision, "verdict": str(found.verdict)}
            logger.error("the logs schema is no longer one that this worker can write to; it stops", extra=extra)
            self._outdated.set()
            self._stop.set()

    def _probe(self) -> Probe:
        if self._connection is None:
            self._connection = connect(self._url, application_name="headhunter-schema-watch", autocommit=True)
        return probe(self._connection, ENVIRONMENT)

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
