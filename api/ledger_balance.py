"""The ledger's two sides held against each other: what the queue accepted, and what the database knows became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from log_events.accounts import HourAndKind, QueueAccounts
from log_events.event_queue import EventQueue
from logs_db import ledger


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One hour of acceptance and one kind."""

    hour: datetime
    kind: str
    accepted: int
    waiting: int
    written: int
    deduplicated: int
    dead: int
    imbalance: int
    """Events accepted of which nobody knows what became of them; negative where more were written than accepted."""


@dataclass(frozen=True, slots=True)
class Balance:
    """All lines of the stream that there is now."""

    generation: str
    lines: tuple[BalanceLine, ...]

    @property
    def accepted(self) -> int:
        """Events that a door let in."""
        return sum(line.accepted for line in self.lines)

    @property
    def waiting(self) -> int:
        """Events still in the stream."""
        return sum(line.waiting for line in self.lines)

    @property
    def written(self) -> int:
        """Events that became rows."""
        return sum(line.written for line in self.lines)

    @property
    def deduplicated(self) -> int:
        """Events that another accepted copy had made rows of."""
        return sum(line.deduplicated for line in self.lines)

    @property
    def dead(self) -> int:
        """Events that became dead letters."""
        return sum(line.dead for line in self.lines)

    @property
    def imbalance(self) -> int:
        """All lines together without regard to their signs: what is missing in one is not made up for by another."""
        return sum(abs(line.imbalance) for line in self.lines)


def read_balance(queue: EventQueue, connection: psycopg.Connection[Any]) -> Balance:
    """
    Hold both sides against each other; what moves meanwhile is no imbalance.

    The queue is asked before the database, so what it no longer holds has been committed; and again after it, so what
    the database knows has been accepted.  A surplus is seen in full once nothing of its hour waits.

    Raises:
        redis.RedisError, psycopg.Error: A side does not answer.
    """
    accounts = queue.accounts()
    sums = {(found.accepted_hour, found.kind): found for found in ledger.read_sums(connection, accounts.generation)}
    later = queue.accounts()
    if later.generation != accounts.generation:
        return read_balance(queue, connection)
    keys = sorted(key for key in accounts.accepted.keys() | sums.keys() if not later.has_pruned(key))
    return Balance(accounts.generation, tuple(_line(key, accounts, sums.get(key), later) for key in keys))


def _line(key: HourAndKind, accounts: QueueAccounts, found: ledger.HourSum | None, later: QueueAccounts) -> BalanceLine:
    known = found or ledger.HourSum(*key, 0, 0, 0)
    accepted, waiting = accounts.accepted.get(key, 0), accounts.waiting.get(key, 0)
    missing = accepted - waiting - known.events
    surplus = known.events - later.accepted.get(key, 0)
    return BalanceLine(
        *key,
        accepted=accepted,
        waiting=waiting,
        written=known.written_events,
        deduplicated=known.deduplicated_events,
        dead=known.dead_events,
        imbalance=missing if missing > 0 else -max(surplus, 0),
    )
