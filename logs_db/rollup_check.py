"""Whether the rollups say what the rows say: every sum recounted, over a span of whole hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from logs_db.partitions import server_time
from logs_db.retention_states import read_kept_since
from logs_db.rollups import ABOVE_MS, ROLLUP_MINUTE_DAYS, ROLLUPS, Rollup

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

SHOWN_DIFFERENCES: Final = 100
"""Of each rollup and day; there may be more."""

STEP: Final = timedelta(days=1)

# One statement, so that rows and sums are seen at one moment.
_COMPARE: LiteralString = """
WITH counted AS (
    SELECT date_bin({step}, created_at, timestamptz '2000-01-01 00:00+00') AS {start}, {key_of_rows}, {sums_of_rows}
    FROM {source} WHERE created_at >= %(since)s AND created_at < %(until)s AND {condition} GROUP BY {places}
), summed AS (
    SELECT {start}, {key}, {summed} FROM (
        SELECT {start}, {key}, {sums} FROM {table} WHERE {start} >= %(since)s AND {start} < %(until)s
        UNION ALL
        SELECT date_bin({step}, minute, timestamptz '2000-01-01 00:00+00'), {key}, {sums} FROM {deltas}
        WHERE minute >= %(since)s AND minute < %(until)s
    ) AS parts ({start}, {key}, {sums}) GROUP BY {places}
)
SELECT {start}, array[{key_as_text}], to_jsonb(array[{sums_of_counted}])::text, to_jsonb(array[{sums_of_summed}])::text
FROM counted FULL JOIN summed USING ({start}, {key})
WHERE ({sums_of_counted}) IS DISTINCT FROM ({sums_of_summed})
ORDER BY 1, 2 LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A sum that is not what the rows come to; of *rows* and *sums* None means that there are none at all."""

    table: str
    start: datetime
    key: tuple[str, ...]
    rows: str
    sums: str


def differences(connection: psycopg.Connection[Any], since: datetime, until: datetime) -> list[Difference]:
    """
    Where sums and rows part, from *since* to before *until*, both whole hours; what retention dropped is left out.

    By minute as well where those are kept.  A day that was not recounted since it was over may lack what clients from
    before the rollups wrote.
    """
    oldest_minute = server_time(connection) - timedelta(days=ROLLUP_MINUTE_DAYS - 1)
    found: list[Difference] = []
    for rollup in ROLLUPS:
        kept_since = read_kept_since(connection, rollup.source)
        begin = since if kept_since is None else max(since, kept_since)
        for table, unit in rollup.folded:
            earliest = begin if unit == "hour" else max(begin, oldest_minute.replace(minute=0, second=0, microsecond=0))
            for first, last in _days(earliest, until):
                found += _compare(connection, rollup, table, unit, {"since": first, "until": last})
    return found


def _compare(
    connection: psycopg.Connection[Any], rollup: Rollup, table: str, unit: str, bounds: dict[str, datetime]
) -> Iterator[Difference]:
    statement = rollup.statement(_COMPARE, table=table, unit=unit)
    parameters = bounds | {"above_ms": ABOVE_MS, "limit": SHOWN_DIFFERENCES}
    for start, key, rows, sums in connection.execute(statement, parameters):
        yield Difference(table, start.astimezone(UTC), tuple(key), rows, sums)


def _days(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        yield since, min(since + STEP, until)
        since += STEP
