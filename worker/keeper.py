"""Keeps the log tables within their retention, on a connection of its own: it may have to wait for long readers."""

import logging
import threading

import psycopg

from logs_db import retention
from logs_db.archive.archiving import hook
from logs_db.retention import RetentionReport
from logs_db.retention_plan import Retention
from worker.complaint import Complaint, reason_of
from worker.pulse import Pulse
from worker.store import maintenance_connection

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
FIRST_LOOK_LOCK_TIMEOUT = "1s"
"""The lanes begin after the first look, so whoever keeps a log table locked must not hold it up."""


class Keeper:
    """
    One pass of retention at the start, and one every minute.

    Args:
        url: Of a role that owns the tables, past any pooler.
        kept: For how long each table keeps its rows.
        stop: Ends it at the next step.
        archive_url: Where days are archived before they are dropped; None: nowhere.
    """

    def __init__(
        self, url: str, kept: Retention, pulse: Pulse, stop: threading.Event, archive_url: str | None = None
    ) -> None:
        self._url = url
        self._kept = kept
        self._archive_url = archive_url
        self._stop = stop
        self._complaint = Complaint("drop what is past its retention", pulse)

    def first_look(self) -> None:
        """Let retention see the database before anything is written to it; where that fails, a pass does it."""
        try:
            with maintenance_connection(self._url) as connection:
                connection.execute(
                    "SELECT pg_catalog.set_config('lock_timeout', %s, false)", (FIRST_LOOK_LOCK_TIMEOUT,)
                )
                retention.first_look(connection)
        except psycopg.Error as exc:
            self._complaint.begins(reason_of(exc))

    def run(self) -> None:
        """Work until told to stop; what hinders a pass is said once, and the next one tries again."""
        pause_seconds = 0.0
        while not self._stop.wait(pause_seconds):
            pause_seconds = EVERY_SECONDS
            try:
                with maintenance_connection(self._url) as connection:
                    before_drop = hook(connection, self._archive_url, self._stop)
                    report = retention.run(connection, self._kept, before_drop=before_drop, stop=self._stop)
            except Exception as exc:  # noqa: BLE001 - rows may be kept for longer, but ingest goes on
                self._complaint.begins(reason_of(exc))
                continue
            self._tell(report)

    def _tell(self, report: RetentionReport) -> None:
        if report.dropped or report.thinned_rows:
            extra = {
                "event": "retention_worked",
                "partitions": list(report.dropped),
                "bytes": report.freed_bytes,
                "rows_deleted": report.thinned_rows,
            }
            logger.info("log rows past their retention were dropped", extra=extra)
        if report.obstacles:
            self._complaint.begins(" ".join(report.obstacles))
        elif not self._stop.is_set():
            self._complaint.ends()
