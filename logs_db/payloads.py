"""
Prompts and responses, which have a table of their own: ``llm_payloads``.

Calls that were written before it was there have theirs in ``llm_logs``, so every read takes what either table has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql
from psycopg.rows import class_row

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    import psycopg

PAYLOADS_KEPT_SINCE: Final[LiteralString] = (
    "coalesce((SELECT kept_since FROM public.retention_states WHERE table_name = 'llm_payloads'), '-infinity')"
)
"""SQL: payloads of days before this time were dropped, and none is written for them any more."""

_READ: LiteralString = """
SELECT coalesce(payload.prompt, call.prompt) AS prompt, coalesce(payload.response, call.response) AS response
FROM public.llm_logs AS call LEFT JOIN public.llm_payloads AS payload
    ON payload.created_at = %(created_at)s AND payload.id = call.id
WHERE call.created_at = %(created_at)s AND call.id = %(id)s
"""
# LATERAL keeps the order of the page and opens the partitions of its window only.
_JOINED: LiteralString = """
SELECT {columns} FROM ({page}) AS call LEFT JOIN LATERAL (
    SELECT prompt, response FROM public.llm_payloads
    WHERE created_at >= %(since)s AND created_at < %(until)s AND created_at = call.created_at AND id = call.id
    OFFSET 0
) AS payload ON true ORDER BY call.created_at DESC, call.id DESC
"""


@dataclass(frozen=True, slots=True)
class Payload:
    """What was sent and what came back; None where there was none, or its retention is over."""

    prompt: str | None
    response: str | None


def read_payload(connection: psycopg.Connection[Any], created_at: datetime, call_id: UUID) -> Payload | None:
    """The payload of the call with this key; None: there is no such call."""
    with connection.cursor(row_factory=class_row(Payload)) as cursor:
        return cursor.execute(_READ, {"created_at": created_at, "id": call_id}).fetchone()


def with_payloads(page: sql.Composed, columns: list[str]) -> sql.Composed:
    """*page*, a query of ``llm_logs`` with parameters since and until, with the payloads of its rows and no others."""
    return sql.SQL(_JOINED).format(page=page, columns=sql.SQL(", ").join(map(_column, columns)))


def _column(name: str) -> sql.Composed:
    if name in ("prompt", "response"):
        return sql.SQL("coalesce(payload.{0}, call.{0}) AS {0}").format(sql.Identifier(name))
    return sql.SQL("call.{0}").format(sql.Identifier(name))
