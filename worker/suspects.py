"""Which row a failed COPY failed at, so that one look at it alone spares the halving of all."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

import psycopg

from log_events.wire import LogEvent
from worker.decode import Batch

RowKey = tuple[datetime, UUID]

# The words follow the server's language, the order does not. Source: PostgreSQL, CopyFromErrorCallback.
_PLACE = re.compile(r"\bCOPY (\w+), \D+? (\d+)")


def suspects_of(error: psycopg.Error, batch: Batch) -> AbstractSet[RowKey]:
    """The key of the row at which COPY of *batch* failed; empty where *error* names none.  It is a hint, no proof."""
    found = _PLACE.search(error.diag.context or "")
    if found is None:
        return frozenset()
    copied = _copied(batch, found[1])
    if not 1 <= int(found[2]) <= len(copied):
        return frozenset()
    event = copied[int(found[2]) - 1]
    return {(event.created_at, event.id)}


def _copied(batch: Batch, table_name: str) -> Sequence[LogEvent]:
    return next((events for table, events in batch.by_table() if table.name == table_name), ())
