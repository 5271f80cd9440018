"""What retention has done and may do.  Written by logs_db/retention.py and logs_db/archive/."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary, PrimaryKeyConstraint, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase


class RetentionState(LogsBase):
    """How far back each table goes, and how far back somebody agreed that it may be cut."""

    __tablename__ = "retention_states"
    __table_args__ = ({"comment": "Per log table: what was dropped for good, and what may be dropped"},)

    table_name: Mapped[str] = mapped_column(
        String(63), primary_key=True, comment="system_logs, llm_logs or llm_payloads"
    )
    first_seen_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        comment="UTC, by the database's clock: since when retention knows the table; older rows need consent to go",
    )
    kept_since: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True),
        comment="UTC midnight: days before it were dropped and are never made again; null: none was",
    )
    consented_until: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC midnight: rows before it, older than first_seen_at, may go; null: none"
    )
    consented_by: Mapped[str | None] = mapped_column(
        String(255), comment="Who agreed, or which archive stands for the agreement"
    )


class DroppedPartition(LogsBase):
    """A partition that retention dropped."""

    __tablename__ = "dropped_partitions"
    __table_args__ = ({"comment": "Partitions that retention dropped, and what they held"},)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, comment="Order of dropping")
    table_name: Mapped[str] = mapped_column(String(63), comment="Table that it belonged to")
    partition_name: Mapped[str] = mapped_column(String(63), comment="Its name")
    since: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC: its lower bound; null: it had none"
    )
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True), comment="UTC: its upper bound, not included")
    size_bytes: Mapped[int] = mapped_column(BigInteger, comment="Bytes that it and its indexes took on disk")
    archive: Mapped[str | None] = mapped_column(Text, comment="Where it was archived to; null: nowhere")
    dropped_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), comment="UTC, by the database's clock"
    )


class ArchivedPartition(LogsBase):
    """A partition whose rows are in an archive that was read back."""

    __tablename__ = "archived_partitions"
    __table_args__ = (
        PrimaryKeyConstraint("table_name", "partition_name"),
        {"comment": "Partitions whose rows were archived and read back"},
    )

    table_name: Mapped[str] = mapped_column(String(63), comment="Table that it belongs or belonged to")
    partition_name: Mapped[str] = mapped_column(String(63), comment="Its name")
    since: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC: its lower bound; null: it had none"
    )
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True), comment="UTC: its upper bound, not included")
    location: Mapped[str] = mapped_column(Text, comment="Where the Parquet file is, without any secret")
    rows: Mapped[int] = mapped_column(BigInteger, comment="Rows in it")
    size_bytes: Mapped[int] = mapped_column(BigInteger, comment="Bytes of the file")
    sha256: Mapped[bytes] = mapped_column(LargeBinary, comment="SHA-256 of the file")
    verified_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        comment="UTC, by the database's clock: when it was read back",
    )
