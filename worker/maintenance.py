"""Keeps partitions ahead of the clock, dead letters within their retention, and the ledger folded."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
import redis

from log_events.event_queue import EventQueue
from log_events.wire import LogEvent
from logs_db import dead_letter_purge, ledger, partitions
from logs_db.dead_letter_selection import Totals
from migrator.classifier import sentence
from worker.store import CONNECT_TIMEOUT_SECONDS
from worker.tables import homes_of

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
AGAIN_AFTER_FAILURE_SECONDS = 60.0


class Maintenance:
    """
    One pass at the start and one every minute; and single days whenever a lane meets an event for one that is missing.

    Args:
        queue: Over a connection of its own.
        url: Of a role that owns the tables, past any pooler.
        retention_days: How long dead letters are kept.
        max_bytes: What dead letters may take before those that were replayed are let go early.
    """

    def __init__(self, queue: EventQueue, url: str, retention_days: int, max_bytes: int, stop: threading.Event) -> None:
        self._queue = queue
        self._url = url
        self._retention_days = retention_days
        self._max_bytes = max_bytes
        self._stop = stop
        self._making = threading.Lock()

    def run(self) -> None:
        """Work until told to stop; a failed pass is said and tried again."""
        pause_seconds = 0.0
        while not self._stop.wait(pause_seconds):
            try:
                self._pass()
                pause_seconds = EVERY_SECONDS
            except (psycopg.Error, redis.RedisError) as exc:
                extra = {"event": "maintenance_failed", "reason": sentence(exc)}
                logger.warning("maintenance of the logs database failed; it is tried again", extra=extra)
                pause_seconds = AGAIN_AFTER_FAILURE_SECONDS

    def make_days(self, struct: type[LogEvent], days: set[date]) -> None:
        """
        Make the partitions of *days* for the events of *struct*; days that are there are left alone.

        Raises:
            psycopg.Error, ValueError: It could not be done now; try again.
        """
        names = [table.name for table in homes_of(struct)]
        with self._making, self._connected() as connection:
            for name in names:
                partitions.ensure_days(connection, name, sorted(days))
        extra = {"event": "partitions_made", "table": names[0], "days": len(days)}
        logger.info("missing partitions were made on demand", extra=extra)

    def _pass(self) -> None:
        with self._making, self._connected() as connection:
            partitions.maintain(connection)
            self._let_letters_go(connection)
            generation, milliseconds, number = self._queue.boundary()
            ledger.fold(connection, generation=generation, oldest_ms=milliseconds, oldest_seq=number)

    def _let_letters_go(self, connection: psycopg.Connection[Any]) -> None:
        expired = dead_letter_purge.purge_expired(connection, self._retention_days)
        room = dead_letter_purge.make_room(connection, self._max_bytes)
        _tell_of(expired, "dead_letters_expired", "dead letters were deleted because their retention is over")
        _tell_of(room.purged, "dead_letters_made_room", "replayed dead letters were deleted to make room for others")
        if room.held_bytes > self._max_bytes:
            extra = {"event": "dead_letters_full", "bytes": room.held_bytes, "max_bytes": self._max_bytes}
            logger.warning("dead letters take more than DEAD_LETTERS_MAX_BYTES; all are kept", extra=extra)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(
            self._url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="headhunter-maintenance",
        ) as connection:
            yield connection


def _tell_of(purged: Totals, event: str, message: str) -> None:
    if purged.letters:
        extra = {"event": event, "letters": purged.letters, "unreplayed": purged.unreplayed, "bytes": purged.raw_bytes}
        logger.warning(message, extra=extra)
