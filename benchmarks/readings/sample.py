"""Values to ask for: of users, companies, requests and the like that the filled rows hold, frequent and rare ones."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg

from benchmarks.readings.fill import RARE_ERROR, RARE_WORD, filled_days

READ_DAYS = 30
_TAKEN: LiteralString = """
SELECT request_id, trace_id, user_id, company_id, component, level
FROM public.system_logs TABLESAMPLE SYSTEM (%s) WHERE user_id IS NOT NULL AND created_at >= %s LIMIT 2000
"""
_FAULTS: LiteralString = """
SELECT error_type FROM public.system_log_hours WHERE error_type <> '' GROUP BY 1 ORDER BY sum(events) DESC
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is asked for, another one each time, within a window of 30 days."""

    since: datetime
    until: datetime
    rows: list[dict[str, Any]]
    error_types: list[str]

    def parameters(self, number: int) -> dict[str, Any]:
        """The values of one query; the first asks for the rarest error type."""
        chosen = self.rows[number * 97 % len(self.rows)]
        error_type = RARE_ERROR if number % 3 == 0 else self.error_types[number * 7 % len(self.error_types)]
        return chosen | {
            "since": self.since,
            "until": self.until,
            "error_type": error_type,
            "text": f"%{RARE_WORD}%" if number % 2 else f"%request {number * 811 % 100000} took%",
        }


def take_sample(connection: psycopg.Connection[Any]) -> Sample:
    """Values of the filled database behind *connection*."""
    last = filled_days()[-1]
    until = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    since = until - timedelta(days=READ_DAYS)
    cursor = connection.execute(_TAKEN, [1.0, since])
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    faults = [row[0] for row in connection.execute(_FAULTS)]
    return Sample(since, until, rows[::7] or rows, faults)
