"""The indexes that reading could have beside the legacy ones, and the query that each would serve."""

from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index of ``system_logs`` by its definition after the table's name, and a query's condition that wants it."""

    definition: LiteralString
    condition: LiteralString


CANDIDATES: dict[str, Candidate] = {
    "request_id, btree": Candidate("(request_id) WHERE request_id IS NOT NULL", "request_id = %(request_id)s"),
    "request_id, hash": Candidate(
        "USING hash (request_id) WHERE request_id IS NOT NULL", "request_id = %(request_id)s"
    ),
    "trace_id, btree": Candidate("(trace_id) WHERE trace_id IS NOT NULL", "trace_id = %(trace_id)s"),
    "trace_id, hash": Candidate("USING hash (trace_id) WHERE trace_id IS NOT NULL", "trace_id = %(trace_id)s"),
    "request and trace, gin": Candidate(
        "USING gin ((ARRAY[request_id, trace_id::varchar]))",
        "ARRAY[request_id, trace_id::varchar] @> ARRAY[%(request_id)s]::varchar[]",
    ),
    "user_id, created_at": Candidate("(user_id, created_at) WHERE user_id IS NOT NULL", "user_id = %(user_id)s"),
    "company_id, created_at": Candidate(
        "(company_id, created_at) WHERE company_id IS NOT NULL", "company_id = %(company_id)s"
    ),
    "error_type, created_at": Candidate(
        "(error_type, created_at DESC) WHERE error_type IS NOT NULL", "error_type = %(error_type)s"
    ),
    "all ids, brin bloom": Candidate(
        "USING brin (request_id text_bloom_ops, trace_id text_bloom_ops, user_id uuid_bloom_ops,"
        " company_id uuid_bloom_ops) WITH (pages_per_range = 16)",
        "request_id = %(request_id)s",
    ),
    "created_at, brin": Candidate("USING brin (created_at)", "request_id = %(request_id)s"),
    "message, trigram": Candidate("USING gin (message gin_trgm_ops)", "message ILIKE %(text)s"),
}
