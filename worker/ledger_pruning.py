"""Lets the queue forget hours long ago whose events are all accounted for: 26,000 numbers a year in Redis's memory."""

from datetime import timedelta
from typing import Any, Final

import psycopg

from log_events.event_queue import EventQueue
from logs_db import ledger

KEPT_HOURS: Final = 35 * 24
"""How long before the newest one an hour is kept, though its events are accounted for."""


def prune_accounts(queue: EventQueue, connection: psycopg.Connection[Any]) -> int:
    """
    Forget old hours by kind of which every event was written, deduplicated or dead; return how many.

    The others stay for as long as it takes, and the ledger goes on telling of them.

    Raises:
        redis.RedisError, psycopg.Error: A side does not answer; nothing is lost, try again.
    """
    accounts = queue.accounts()
    if not accounts.accepted:
        return 0
    before = max(hour for hour, _ in accounts.accepted) - timedelta(hours=KEPT_HOURS)
    old = {key: events for key, events in accounts.accepted.items() if key[0] < before}
    if not old:
        return 0
    known = {(hour.accepted_hour, hour.kind): hour.events for hour in ledger.read_sums(connection, accounts.generation)}
    return queue.prune(before, {key: events for key, events in old.items() if known.get(key) == events})
