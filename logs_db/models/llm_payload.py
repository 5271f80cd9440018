"""The ``llm_payloads`` table: what was sent to language models and came back, apart from the calls' figures."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, PrimaryKeyConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase


class LlmPayload(LogsBase):
    """
    Prompt and response of one call, under the call's own key: lists never read them, and they may go earlier.

    Without a foreign key, which would hold up the detaching of partitions.
    """

    __tablename__ = "llm_payloads"
    __table_args__ = (
        PrimaryKeyConstraint("created_at", "id"),
        {
            "comment": "Prompts and responses of calls in llm_logs; a partition for each UTC day of created_at",
            "postgresql_partition_by": "RANGE (created_at)",
        },
    )

    id: Mapped[UUID] = mapped_column(comment="Key together with created_at, the same as the call's in llm_logs")
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the producer's clock: when the call was logged"
    )
    prompt: Mapped[str | None] = mapped_column(Text, comment="What was sent, at most 1 MiB of UTF-8")
    response: Mapped[str | None] = mapped_column(Text, comment="What came back, at most 1 MiB of UTF-8")
