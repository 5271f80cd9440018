"""The ``ledger_entries`` and ``ledger_hours`` tables.  Written by logs_db/ledger.py.  Command: headhunter logs."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase


class LedgerEntry(LogsBase):
    """
    What became of the events of one stream entry, written in the transaction that wrote them.

    Its key makes an entry's second reading visible: whoever finds it here need not write it again.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint("written_events >= 0 AND deduplicated_events >= 0 AND dead_events >= 0", name="no_negatives"),
        {"comment": "What became of the events of each stream entry, until it is folded into ledger_hours"},
    )

    entry_ms: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Milliseconds since 1970, by the queue's clock"
    )
    entry_seq: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Which of the entries of that millisecond"
    )
    generation: Mapped[str] = mapped_column(
        String(32), primary_key=True, comment="Which of the streams that there ever were it came from"
    )
    kind: Mapped[str] = mapped_column(
        String(20), primary_key=True, comment="system_log, llm_log or other, as the door could see it"
    )
    written_events: Mapped[int] = mapped_column(Integer, comment="Events that became rows")
    deduplicated_events: Mapped[int] = mapped_column(
        Integer, comment="Events that another accepted copy had made rows of"
    )
    dead_events: Mapped[int] = mapped_column(Integer, comment="Events that became dead letters")


class LedgerHour(LogsBase):
    """The sums of the entries that were accepted in one hour and are gone from the stream."""

    __tablename__ = "ledger_hours"
    __table_args__ = ({"comment": "What became of the events that were accepted in each hour, of finished entries"},)

    accepted_hour: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, comment="UTC, by the queue's clock: start of the hour of acceptance"
    )
    generation: Mapped[str] = mapped_column(
        String(32), primary_key=True, comment="Which of the streams that there ever were they came from"
    )
    kind: Mapped[str] = mapped_column(
        String(20), primary_key=True, comment="system_log, llm_log or other, as the door could see it"
    )
    written_events: Mapped[int] = mapped_column(BigInteger, comment="Events that became rows")
    deduplicated_events: Mapped[int] = mapped_column(
        BigInteger, comment="Events that another accepted copy had made rows of"
    )
    dead_events: Mapped[int] = mapped_column(BigInteger, comment="Events that became dead letters")
