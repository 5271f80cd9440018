"""The ``dead_letters`` table.  Written by logs_db/dead_letters.py.  Command: headhunter logs dead-letters."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase


class DeadLetter(LogsBase):
    """
    An event that was accepted and cannot become a row, with the reason and what came in.

    Its key is derived from what came in and from where, so the same event delivered again is counted, not doubled.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        CheckConstraint("reason ~ '^[a-z][a-z0-9_]*$'", name="reason_is_a_word"),
        CheckConstraint("source IN ('stream', 'list', 'legacy')", name="source"),
        CheckConstraint("entry_index >= 0", name="entry_index_from_zero"),
        CheckConstraint("octet_length(sha256) = 32", name="sha256_is_whole"),
        CheckConstraint(
            "octet_length(raw) <= size_bytes AND raw_is_complete = (octet_length(raw) = size_bytes)", name="raw_by_size"
        ),
        CheckConstraint("seen_count >= 1", name="seen_once"),
        Index("ix_dead_letters_created_at_id", "created_at", "id"),
        Index("ix_dead_letters_reason_created_at_id", "reason", "created_at", "id"),
        {"comment": "Events that were accepted and cannot become rows; each is kept until its retention is over"},
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="Key; derived from the entry, the place in it and the bytes, never random"
    )
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        comment="UTC, by the queue's clock: when it was accepted; source legacy: by the database's, when set aside",
    )
    reason: Mapped[str] = mapped_column(String(50), comment="Verdict in one word, for example not_json")
    detail: Mapped[str] = mapped_column(Text, comment="The verdict in a sentence, without any of the content")
    event_type: Mapped[str | None] = mapped_column(
        String(20), comment="system_log or llm_log; null where that could not be told"
    )
    source: Mapped[str] = mapped_column(
        String(10), comment="Door by which it came: stream, list, or legacy for rows found by the conversion"
    )
    entry_id: Mapped[str | None] = mapped_column(
        String(64), comment="Entry of the stream that brought it; null for source legacy"
    )
    entry_index: Mapped[int | None] = mapped_column(comment="Place in that entry, from 0; null for the whole entry")
    size_bytes: Mapped[int] = mapped_column(BigInteger, comment="Bytes that came in")
    sha256: Mapped[bytes] = mapped_column(LargeBinary, comment="SHA-256 of all bytes that came in, 32 bytes")
    raw: Mapped[bytes] = mapped_column(
        LargeBinary, comment="The bytes that came in; of an event over 16 MiB the first 64 KiB"
    )
    raw_is_complete: Mapped[bool] = mapped_column(comment="Whether raw is all that came in")
    seen_count: Mapped[int] = mapped_column(server_default=text("1"), comment="Deliveries of it, the first one counted")
    last_seen_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=text("now()"), comment="UTC, by the database's clock: last delivered"
    )
    generation: Mapped[str | None] = mapped_column(
        String(32), comment="Which of the streams that there ever were brought it; null where that was not kept"
    )
    frame_version: Mapped[str | None] = mapped_column(
        String(32), comment="Version that its frame said it was of; null where no frame brought it"
    )
    replayed_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True),
        comment="UTC, by the database's clock: when a replay made it a row, or found that it was one; null until then",
    )
