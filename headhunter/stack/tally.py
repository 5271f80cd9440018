"""How many events the processes of a demo sent, exactly: each leaves a file when it ends."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from log_events.producer import Producer
from servers.passwords import write_private

#: Names the folder of the files.  A process that finds it set sends its own log records through the queue, and counts.
TALLY_VARIABLE = "HEADHUNTER_DEMO_TALLY"
_TABLES = ("system_logs", "llm_logs", "dead_letters")


@dataclass(frozen=True)
class Tally:
    """What one process, or all together, sent; accepted means answered by Redis."""

    accepted: int = 0
    dropped: int = 0
    visible_ms: list[float] = field(default_factory=list)
    """Milliseconds from emit until another connection read the row, for a sample of the events."""

    def __add__(self, other: "Tally") -> "Tally":
        """Return both together."""
        return Tally(self.accepted + other.accepted, self.dropped + other.dropped, self.visible_ms + other.visible_ms)


def write_tally(folder: Path, producer: Producer, visible_ms: list[float] | None = None) -> None:
    """Close *producer* and write what it sent."""
    producer.close()
    counters = producer.counters
    said = {
        "accepted": counters.accepted_events,
        "dropped": counters.dropped_events,
        "visible_ms": visible_ms or [],
    }
    write_private(folder / f"{os.getpid()}.json", json.dumps(said))


def read_tallies(folder: Path) -> Tally:
    """Return what all processes together sent that have ended so far."""
    total = Tally()
    for path in folder.glob("*.json"):
        total += Tally(**json.loads(path.read_text(encoding="utf-8")))
    return total


def stored_events(logs_url: str) -> int:
    """Count the rows and dead letters of the logs database; 0 where the worker has not made the tables yet."""
    with psycopg.connect(logs_url, autocommit=True) as connection:
        return sum(_counts(connection))


def _counts(connection: psycopg.Connection) -> Iterator[int]:
    for table in _TABLES:
        found = connection.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone()
        if found and found[0]:
            row = connection.execute(sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table))).fetchone()
            yield row[0] if row else 0
