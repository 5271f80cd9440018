"""Which row a failed COPY failed at, so that one look at it alone spares the halving of all."""

import re
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

import psycopg

from worker.decode import Batch
from worker.tables import LLM_LOGS, SYSTEM_LOGS

RowKey = tuple[datetime, UUID]

# The words follow the server's language, the order does not. Source: PostgreSQL, CopyFromErrorCallback.
_PLACE = re.compile(r"\bCOPY (\w+), \D+? (\d+)")


def suspects_of(error: psycopg.Error, batch: Batch) -> AbstractSet[RowKey]:
    """The key of the row at which COPY of *batch* failed; empty where *error* names none.  It is a hint, no proof."""
    found = _PLACE.search(error.diag.context or "")
    if found is None:
        return frozenset()
    copied = {SYSTEM_LOGS.name: batch.system_logs, LLM_LOGS.name: batch.llm_logs}.get(found[1], ())
    if not 1 <= int(found[2]) <= len(copied):
        return frozenset()
    event = copied[int(found[2]) - 1]
    return {(event.created_at, event.id)}
