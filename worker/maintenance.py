"""Keeps partitions ahead of the clock, dead letters within their retention, and the ledger folded and small."""

import logging
import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import psycopg
import redis

from log_events.event_queue import EventQueue
from log_events.wire import LogEvent
from logs_db import dead_letter_purge, ledger, partitions
from logs_db.dead_letter_selection import Totals
from logs_db.retention_plan import Retention
from worker.complaint import Complaint, reason_of
from worker.ledger_pruning import prune_accounts
from worker.missing_days import DaysMade, make_days
from worker.pulse import Pulse
from worker.store import maintenance_connection
from worker.tables import homes_of

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
Job = Callable[[psycopg.Connection[Any]], object]

_SET_ASIDE = (
    "a partition cannot be made: the events of its day become dead letters with the reason refused; put right what "
    "hinders it, then send them back with `headhunter logs dead-letters replay --reason refused`"
)

PAST_DAYS = 30
"""How old an event may be when it is accepted, where its table keeps it for ever; else as old as that keeps it."""

WAITED_DAYS = 90
"""How long an entry may have waited for a worker; a dead letter that is replayed was kept for its retention besides."""


class Maintenance:
    """
    One pass at the start and one every minute; and single days whenever a lane meets an event for one that is missing.

    Args:
        queue: Over a connection of its own.
        url: Of a role that owns the tables, past any pooler.
        retention_days: How long dead letters are kept.
        max_bytes: What dead letters may take before those that were replayed are let go early.
        kept: For how long each table keeps its rows, and takes late ones.
    """

    def __init__(
        self,
        queue: EventQueue,
        url: str,
        retention_days: int,
        max_bytes: int,
        kept: Retention,
        pulse: Pulse,
        stop: threading.Event,
    ) -> None:
        self._queue = queue
        self._url = url
        self._retention_days = retention_days
        self._max_bytes = max_bytes
        self._past_days = WAITED_DAYS + max([PAST_DAYS, *kept.all_days]) + retention_days
        self._stop = stop
        self._told: set[str] = set()
        """Why days cannot be made, as far as it was said: each reason once, for every batch may meet it."""
        # Of the lanes alone: a pass goes on for as long as it takes, and who is at it otherwise the database tells.
        self._making = threading.Lock()
        jobs: dict[str, Job] = {
            "make partitions ahead": partitions.maintain,
            "let dead letters go": self._let_letters_go,
            "fold the ledger": self._fold_ledger,
            "prune the queue's accounts": partial(prune_accounts, queue),
        }
        self._jobs = [(job, Complaint(name, pulse)) for name, job in jobs.items()]

    def run(self) -> None:
        """Work until told to stop; what hinders one job is said once, hinders no other, and is tried again."""
        pause_seconds = 0.0
        while not self._stop.wait(pause_seconds):
            pause_seconds = EVERY_SECONDS
            for job, complaint in self._jobs:
                if not self._stop.is_set():
                    self._do(job, complaint)

    def _do(self, job: Job, complaint: Complaint) -> None:
        try:
            with maintenance_connection(self._url) as connection:
                job(connection)
        except (psycopg.Error, redis.RedisError) as exc:
            complaint.begins(reason_of(exc))
        else:
            complaint.ends()

    def make_days(self, struct: type[LogEvent], days: set[date]) -> DaysMade:
        """
        Make the partitions of *days* for the events of *struct*, but none that retention has dropped.

        Raises:
            psycopg.Error: It could not be done now; try again.
        """
        with self._making, maintenance_connection(self._url) as connection:
            made = make_days(connection, struct, days, past_days=self._past_days)
            untold = set(made.impossible.values()) - self._told
            self._told |= untold
        table = homes_of(struct)[0].name
        if made.partitions:
            extra = {"event": "partitions_made", "table": table, "partitions": list(made.partitions)}
            logger.info("missing partitions were made on demand", extra=extra)
        for reason in sorted(untold):
            extra = {"event": "day_impossible", "table": table, "reason": reason}
            logger.warning(_SET_ASIDE, extra=extra)
        return made

    def _fold_ledger(self, connection: psycopg.Connection[Any]) -> None:
        generation, milliseconds, number = self._queue.boundary()
        ledger.fold(connection, generation=generation, oldest_ms=milliseconds, oldest_seq=number, stop=self._stop)

    def _let_letters_go(self, connection: psycopg.Connection[Any]) -> None:
        expired = dead_letter_purge.purge_expired(connection, self._retention_days, stop=self._stop)
        room = dead_letter_purge.make_room(connection, self._max_bytes, stop=self._stop)
        _tell_of(expired, "dead_letters_expired", "dead letters were deleted because their retention is over")
        _tell_of(room.purged, "dead_letters_made_room", "replayed dead letters were deleted to make room for others")
        if room.held_bytes > self._max_bytes:
            extra = {"event": "dead_letters_full", "bytes": room.held_bytes, "max_bytes": self._max_bytes}
            logger.warning("dead letters take more than DEAD_LETTERS_MAX_BYTES; all are kept", extra=extra)


def _tell_of(purged: Totals, event: str, message: str) -> None:
    if purged.letters:
        extra = {"event": event, "letters": purged.letters, "unreplayed": purged.unreplayed, "bytes": purged.raw_bytes}
        logger.warning(message, extra=extra)
