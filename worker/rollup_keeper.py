"""Keeps the rollups folded and complete, on a connection of its own: to count a day from its rows may take minutes."""

import threading
from contextlib import suppress
from typing import Any

import psycopg

from logs_db import rollup_recount, rollups
from worker.complaint import Complaint, reason_of
from worker.pulse import Pulse
from worker.store import maintenance_connection

EVERY_SECONDS = 60.0
CANCEL_SECONDS = 5.0


class RollupKeeper:
    """
    One pass at the start, and one every minute: all deltas folded, and one day of each table counted if one is due.

    Args:
        url: Of a role that owns the tables, past any pooler.
        stop: Ends it at once; what was under way is undone and done again by whoever comes next.
    """

    def __init__(self, url: str, pulse: Pulse, stop: threading.Event) -> None:
        self._url = url
        self._stop = stop
        self._complaint = Complaint("keep the rollups", pulse)
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        """Work until told to stop; what hinders a pass is said once, and the next one tries again."""
        threading.Thread(target=self._cancel_when_told, daemon=True).start()
        pause_seconds = 0.0
        while not self._stop.wait(pause_seconds):
            pause_seconds = EVERY_SECONDS
            try:
                self._pass()
            except psycopg.Error as exc:
                if not self._stop.is_set():
                    self._complaint.begins(reason_of(exc))
            else:
                self._complaint.ends()

    def _pass(self) -> None:
        with maintenance_connection(self._url) as self._connection:
            rollups.fold(self._connection)
            if not self._stop.is_set():
                rollup_recount.recount_next_day(self._connection)

    def _cancel_when_told(self) -> None:
        """End the statement that is under way when the worker is told to stop: a worker does not wait for a count."""
        self._stop.wait()
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=CANCEL_SECONDS)
