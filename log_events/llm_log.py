"""The ``llm_log`` event.  Table: logs_db/models/llm_log.py.  API: api/routes/logs.py."""

from decimal import Decimal
from uuid import UUID

import msgspec

from log_events.columns import Count, JsonText, Text, Text16, Text20, Text32, Text50, Text100, Text255, Time


class LlmLogEvent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2, gc=False):
    """
    One call of a language model, its fields in the order of the table's columns.

    On the wire it is an array, so a field may only ever be added at the end.  The codec refuses a longer array; the
    worker then looks at it closely, and keeps what a newer release has added.
    """

    id: UUID
    created_at: Time
    provider: Text50
    model: Text100
    operation: Text50 | None
    prompt: Text | None
    response: Text | None
    prompt_tokens: Count | None
    completion_tokens: Count | None
    total_tokens: Count | None
    cost_usd: Decimal | None
    latency_ms: Count | None
    status: Text20
    error_type: Text255 | None = None
    error_message: Text | None = None
    user_id: UUID | None = None
    company_id: UUID | None = None
    request_id: Text100 | None = None
    extra_data: JsonText | None = None
    trace_id: Text32 | None = None
    span_id: Text16 | None = None
    service: Text100 | None = None
    host: Text255 | None = None
    session_id: Text100 | None = None
    response_model: Text100 | None = None
    cached_prompt_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    time_to_first_token_ms: Count | None = None
    finish_reason: Text50 | None = None
    streamed: bool | None = None
