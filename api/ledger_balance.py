"""The ledger's two sides held against each other: what the queue accepted, and what the database knows became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

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

    @property
    def imbalance(self) -> int:
        """Events accepted of which nobody knows what became of them; negative where more were written than accepted."""
        return self.accepted - self.waiting - self.written - self.deduplicated - self.dead


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
        """0 at rest; while a batch is committed but not yet acknowledged it may be negative for an instant."""
        return sum(line.imbalance for line in self.lines)


def read_balance(queue: EventQueue, connection: psycopg.Connection[Any]) -> Balance:
    """
    Hold both sides against each other.

    Raises:
        redis.RedisError, psycopg.Error: A side does not answer.
    """
    accounts = queue.accounts()
    sums = {(found.accepted_hour, found.kind): found for found in ledger.read_sums(connection, accounts.generation)}
    lines = []
    for hour, kind in sorted(accounts.accepted.keys() | sums.keys()):
        known = sums.get((hour, kind)) or ledger.HourSum(hour, kind, 0, 0, 0)
        lines.append(
            BalanceLine(
                hour=hour,
                kind=kind,
                accepted=accounts.accepted.get((hour, kind), 0),
                waiting=accounts.waiting.get((hour, kind), 0),
                written=known.written_events,
                deduplicated=known.deduplicated_events,
                dead=known.dead_events,
            )
        )
    return Balance(accounts.generation, tuple(lines))
