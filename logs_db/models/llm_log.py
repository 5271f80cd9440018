"""The ``llm_logs`` table.  Event: log_events/llm_log.py.  API: api/routes/logs.py."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, Numeric, PrimaryKeyConstraint, String, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase


class LlmLog(LogsBase):
    """
    One call of a language model, in a partition for its UTC day.

    The same event delivered twice has the same key, so it can be recognised; nothing is ever updated.
    """

    __tablename__ = "llm_logs"
    __table_args__ = (
        PrimaryKeyConstraint("created_at", "id"),
        Index("ix_llm_logs_request_id", "request_id", postgresql_where=text("request_id IS NOT NULL")),
        {
            "comment": "Calls of language models; a partition for each UTC day of created_at",
            "postgresql_partition_by": "RANGE (created_at)",
        },
    )

    id: Mapped[UUID] = mapped_column(
        server_default=text("gen_random_uuid()"),
        comment="Key together with created_at; UUIDv7 by the producer, random where it gave none",
    )
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        comment="UTC, by the producer's clock: when the call was logged; the database's clock where it gave none",
    )
    provider: Mapped[str] = mapped_column(String(50), comment="Who runs the model, for example openai")
    model: Mapped[str] = mapped_column(String(100), comment="Model that was asked for")
    operation: Mapped[str | None] = mapped_column(String(50), comment="What the call was for, for example chat")
    prompt: Mapped[str | None] = mapped_column(Text, comment="What was sent, at most 1 MiB of UTF-8")
    response: Mapped[str | None] = mapped_column(Text, comment="What came back, at most 1 MiB of UTF-8")
    prompt_tokens: Mapped[int | None] = mapped_column(comment="Tokens sent, cached ones among them")
    completion_tokens: Mapped[int | None] = mapped_column(comment="Tokens that came back, reasoning among them")
    total_tokens: Mapped[int | None] = mapped_column(comment="Tokens sent and come back, as the provider counts them")
    cost_usd: Mapped[Decimal | None] = mapped_column(
        Numeric, comment="US dollars, exact; null where the price is not known"
    )
    latency_ms: Mapped[int | None] = mapped_column(comment="Milliseconds from call to answer, by the producer's clock")
    status: Mapped[str] = mapped_column(String(20), comment="How the call ended, for example success or error")
    error_type: Mapped[str | None] = mapped_column(
        String(255), comment="Class of the error that ended the call; null where none did"
    )
    error_message: Mapped[str | None] = mapped_column(Text, comment="Text of that error, at most 1 MiB of UTF-8")
    user_id: Mapped[UUID | None] = mapped_column(comment="User on whose behalf the call was made, by the main database")
    company_id: Mapped[UUID | None] = mapped_column(comment="Company of that user, by the main database")
    request_id: Mapped[str | None] = mapped_column(String(100), comment="Request in the course of which it was made")
    extra_data: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB, comment="Whatever else the event carried, an object; what was cut or not understood is noted in it"
    )
    trace_id: Mapped[str | None] = mapped_column(String(32), comment="W3C trace id, 32 lower-case hexadecimal digits")
    span_id: Mapped[str | None] = mapped_column(String(16), comment="W3C span id, 16 lower-case hexadecimal digits")
    service: Mapped[str | None] = mapped_column(String(100), comment="Service that called, as its operators call it")
    host: Mapped[str | None] = mapped_column(String(255), comment="Name of the machine or container that called")
    session_id: Mapped[str | None] = mapped_column(String(100), comment="Conversation that the call belongs to")
    response_model: Mapped[str | None] = mapped_column(
        String(100), comment="Model that answered, where the provider names it"
    )
    cached_prompt_tokens: Mapped[int | None] = mapped_column(comment="Tokens sent that the provider had cached")
    cache_write_tokens: Mapped[int | None] = mapped_column(comment="Tokens sent that the provider put into its cache")
    reasoning_tokens: Mapped[int | None] = mapped_column(comment="Tokens come back that were spent on reasoning")
    time_to_first_token_ms: Mapped[int | None] = mapped_column(
        comment="Milliseconds from call to first token, by the producer's clock; null where not streamed"
    )
    finish_reason: Mapped[str | None] = mapped_column(
        String(50), comment="Why the model stopped, in the provider's words"
    )
    streamed: Mapped[bool | None] = mapped_column(comment="Whether the answer came in pieces; null where not known")
