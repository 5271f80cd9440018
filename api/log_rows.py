"""The rows of the log tables, as answers show them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue


class SystemLogResponse(BaseModel):
    """One row of ``system_logs``."""

    id: UUID
    created_at: datetime
    level: str
    component: str
    message: str
    error_type: str | None
    error_message: str | None
    stack_trace: str | None
    user_id: UUID | None
    company_id: UUID | None
    request_id: str | None
    extra_data: JsonValue
    trace_id: str | None
    span_id: str | None
    service: str | None
    host: str | None


class LlmLogResponse(BaseModel):
    """One row of ``llm_logs``."""

    id: UUID
    created_at: datetime
    provider: str
    model: str
    operation: str | None
    prompt: str | None
    response: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_usd: Annotated[Decimal, Field(allow_inf_nan=True)] | None
    latency_ms: int | None
    status: str
    error_type: str | None
    error_message: str | None
    user_id: UUID | None
    company_id: UUID | None
    request_id: str | None
    extra_data: JsonValue
    trace_id: str | None
    span_id: str | None
    service: str | None
    host: str | None
    session_id: str | None
    response_model: str | None
    cached_prompt_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    time_to_first_token_ms: int | None
    finish_reason: str | None
    streamed: bool | None
