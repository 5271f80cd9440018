"""What a run ended in: the promises to the producers held against what the databases hold."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import redis

from api.ledger_balance import read_balance
from benchmarks.matrix.events import keys_in
from log_events.event_queue import EventQueue
from logs_db.rollup_check import differences

_TEXTS = """
SELECT message FROM system_logs WHERE component = %(run)s
UNION ALL SELECT payload.prompt FROM llm_logs JOIN llm_payloads AS payload USING (created_at, id) WHERE model = %(run)s
"""
_DEAD = "SELECT raw FROM dead_letters WHERE strpos(encode(raw, 'escape'), %(run)s) > 0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the events of one run."""

    accepted: int = 0
    lost: int = 0
    """Accepted, and neither a row nor a dead letter."""
    doubled: int = 0
    """Rows and dead letters beyond the first of their event, accepted or not."""
    imbalance: int = 0
    """Of the ledger, all hours and kinds together without regard to their signs."""
    unfinished: int = 0
    """Events that the queue still holds."""
    wrong_sums: int = 0
    """Sums of the rollups that are not what the rows come to."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.imbalance or self.unfinished or self.wrong_sums)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.accepted + other.accepted,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.imbalance + other.imbalance,
            self.unfinished + other.unfinished,
            self.wrong_sums + other.wrong_sums,
        )


def judge(run: str, accepted: set[str], database_url: str, redis_url: str) -> Verdict:
    """Judge *run*, whose producers were promised the events *accepted*."""
    with psycopg.connect(database_url) as connection, redis.Redis.from_url(redis_url) as client:
        found: Counter[str] = Counter()
        for (text,) in connection.execute(_TEXTS, {"run": run}):
            found.update(keys_in(text.encode()))
        for (raw,) in connection.execute(_DEAD, {"run": run}):
            found.update(key for key in keys_in(raw) if key.startswith(run))
        queue = EventQueue(client)
        balance = read_balance(queue, connection)
        depth = queue.depth()
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        wrong_sums = differences(connection, now - timedelta(hours=2), now + timedelta(hours=1))
    return Verdict(
        accepted=len(accepted),
        lost=len(accepted - found.keys()),
        doubled=found.total() - len(found),
        imbalance=balance.imbalance,
        unfinished=depth.events + depth.in_flight_entries,
        wrong_sums=sum(run in wrong.key for wrong in wrong_sums),
    )
