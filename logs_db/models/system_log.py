"""The ``system_logs`` table.  Event: log_events/system_log.py.  API: api/routes/logs.py."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, PrimaryKeyConstraint, String, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase


class SystemLog(LogsBase):
    """
    One line of a program's log, in a partition for its UTC day.

    The same event delivered twice has the same key, so it can be recognised; nothing is ever updated.
    """

    __tablename__ = "system_logs"
    __table_args__ = (
        PrimaryKeyConstraint("created_at", "id"),
        Index("idx_system_logs_level_created", "level", text("created_at DESC")),
        Index("idx_system_logs_component_created", "component", text("created_at DESC")),
        Index("idx_system_logs_errors", text("created_at DESC"), postgresql_where=text("error_type IS NOT NULL")),
        Index(
            "ix_system_logs_error_type_created_at",
            "error_type",
            text("created_at DESC"),
            postgresql_where=text("error_type IS NOT NULL"),
        ),
        Index("ix_system_logs_request_id", "request_id", postgresql_where=text("request_id IS NOT NULL")),
        Index(
            "ix_system_logs_user_id_created_at",
            "user_id",
            "created_at",
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        {
            "comment": "Lines of programs' logs; a partition for each UTC day of created_at",
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
        comment="UTC, by the producer's clock: when the line was logged; the database's clock where it gave none",
    )
    level: Mapped[str] = mapped_column(String(20), comment="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    component: Mapped[str] = mapped_column(String(100), comment="Part of the program, often a logger's name")
    message: Mapped[str] = mapped_column(Text, comment="What was logged, at most 1 MiB of UTF-8")
    error_type: Mapped[str | None] = mapped_column(
        String(255), comment="Class of the error that was logged; null where none was"
    )
    error_message: Mapped[str | None] = mapped_column(Text, comment="Text of the error that was logged, at most 1 MiB")
    stack_trace: Mapped[str | None] = mapped_column(Text, comment="Stack trace of the error, at most 1 MiB")
    user_id: Mapped[UUID | None] = mapped_column(comment="User on whose behalf the program ran, by the main database")
    company_id: Mapped[UUID | None] = mapped_column(comment="Company of that user, by the main database")
    request_id: Mapped[str | None] = mapped_column(String(100), comment="Request in the course of which it was logged")
    extra_data: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB, comment="Whatever else the event carried, an object; what was cut or not understood is noted in it"
    )
    trace_id: Mapped[str | None] = mapped_column(String(32), comment="W3C trace id, 32 lower-case hexadecimal digits")
    span_id: Mapped[str | None] = mapped_column(String(16), comment="W3C span id, 16 lower-case hexadecimal digits")
    service: Mapped[str | None] = mapped_column(String(100), comment="Service that logged, as its operators call it")
    host: Mapped[str | None] = mapped_column(String(255), comment="Name of the machine or container that logged")
