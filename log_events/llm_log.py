"""The ``llm_log`` event.  Table: logs_db/models/llm_log.py.  API: api/routes/logs.py."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec


class LlmLogEvent(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """
    One call of a language model, its fields in the order of the table's columns.

    On the wire it is an array, so a field may only ever be added at the end.
    """

    id: UUID
    created_at: datetime
    provider: str
    model: str
    operation: str | None = None
    prompt: str | None = None
    response: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: Decimal | None = None
    latency_ms: int | None = None
    status: str = "success"
    error_type: str | None = None
    error_message: str | None = None
    user_id: UUID | None = None
    company_id: UUID | None = None
    request_id: str | None = None
    extra_data: str | None = None
    """JSON text of an object: encoded once, by the producer, and copied into jsonb as it is."""
    trace_id: str | None = None
    span_id: str | None = None
    service: str | None = None
    host: str | None = None
    session_id: str | None = None
    response_model: str | None = None
    cached_prompt_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    time_to_first_token_ms: int | None = None
    finish_reason: str | None = None
    streamed: bool | None = None
