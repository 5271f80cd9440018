"""
Deleting the oldest rows of a partition that spans many days, such as the one that the legacy table became.

In batches of a transaction each, by the key, with as much pause as work, so many seconds a pass.  The space that they
took is not given back to the disk: rows go from the front of the file, and only an empty end is ever cut off.  VACUUM,
which PostgreSQL starts by itself, makes it free for other rows of the same partition, and there are none to come.  So
it is not worth a VACUUM FULL, which would stop readers and need the same space once more: the disk has all of it back
when the whole partition is dropped.  What is gained before is that no row is kept for longer than was promised.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    import threading
    from datetime import datetime

    import psycopg

    from migrator.partitioning import Relation

BATCH_ROWS: Final = 2000
THIN_SECONDS: Final = 10.0
"""How long one pass deletes from one partition; the next one, a minute later, goes on."""

# The key of the last row is where the next batch begins: index entries of rows that are gone would be walked else.
# It is text, because legacy rows may be dated -infinity, which Python has no word for.
_THIN: LiteralString = """
WITH old AS (
    SELECT ctid, created_at, id FROM ONLY {table}
    WHERE created_at < %(before)s AND (%(time)s::timestamptz IS NULL OR (created_at, id) > (%(time)s, %(id)s::uuid))
    ORDER BY created_at, id LIMIT %(rows)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM ONLY {table} AS t USING old WHERE t.ctid = old.ctid RETURNING t.created_at, t.id
)
SELECT created_at::text, id::text, count(*) OVER () FROM gone ORDER BY created_at DESC, id DESC LIMIT 1
"""


def thin(connection: psycopg.Connection[Any], partition: Relation, before: datetime, stop: threading.Event) -> int:
    """
    Delete rows of *partition* that are older than *before*, as many as there is time for; how many went.

    The connection is in autocommit; whoever is to stop sets *stop*.
    """
    statement = sql.SQL(_THIN).format(table=partition.identifier)
    gone_rows, end = 0, time.monotonic() + THIN_SECONDS
    last: tuple[str | None, str | None] = (None, None)
    while not stop.is_set() and time.monotonic() < end:
        begun = time.monotonic()
        found = _batch(connection, statement, before, last)
        if found is None:
            break
        gone_rows += found[2]
        last = found[:2]
        stop.wait(time.monotonic() - begun)
    return gone_rows


def _batch(
    connection: psycopg.Connection[Any], statement: sql.Composed, before: datetime, last: tuple[str | None, str | None]
) -> tuple[str, str, int] | None:
    parameters = {"before": before, "time": last[0], "id": last[1], "rows": BATCH_ROWS}
    return connection.execute(statement, parameters).fetchone()
