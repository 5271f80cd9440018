"""
The rollups: sums of the log tables by minute and hour.  Written by logs_db/rollups.py.

Each comes in three tables.  Deltas are appended in the transaction that writes the rows they count; maintenance folds
them into minutes and hours.  What is true at any moment is the folded sums and the deltas that are left, together.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Identity, Integer, Numeric, PrimaryKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from logs_db.models.base import LogsBase

_MINUTE = "UTC: start of the minute of the rows' created_at"
_HOUR = "UTC: start of the hour of the rows' created_at"


class _Delta:
    """Key of a table that is only ever appended to and emptied."""

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, sort_order=-9, comment="Order of writing, with gaps"
    )
    minute: Mapped[datetime] = mapped_column(DateTime(timezone=True), sort_order=-8, comment=_MINUTE)


class _LogKey:
    """What system logs are counted by."""

    level: Mapped[str] = mapped_column(String(20), sort_order=-5, comment="Level of the rows")
    component: Mapped[str] = mapped_column(String(100), sort_order=-5, comment="Component of the rows")
    error_type: Mapped[str] = mapped_column(
        String(255), sort_order=-5, comment="Class of the rows' error; empty where there was none"
    )


class _CallKey:
    """What calls of language models are counted by."""

    provider: Mapped[str] = mapped_column(String(50), sort_order=-5, comment="Provider of the calls")
    model: Mapped[str] = mapped_column(String(100), sort_order=-5, comment="Model that was asked for")
    operation: Mapped[str] = mapped_column(
        String(50), sort_order=-5, comment="What the calls were for; empty where it was not told"
    )
    status: Mapped[str] = mapped_column(String(20), sort_order=-5, comment="How the calls ended")


class _CallSums:
    """What is summed of calls."""

    calls: Mapped[int] = mapped_column(BigInteger, comment="Calls")
    errors: Mapped[int] = mapped_column(BigInteger, comment="Calls with an error type")
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, comment="Tokens sent")
    completion_tokens: Mapped[int] = mapped_column(BigInteger, comment="Tokens come back")
    total_tokens: Mapped[int] = mapped_column(BigInteger, comment="Tokens sent and come back")
    cached_prompt_tokens: Mapped[int] = mapped_column(BigInteger, comment="Tokens sent that were cached")
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger, comment="Tokens put into the cache")
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, comment="Tokens spent on reasoning")
    cost_usd: Mapped[Decimal] = mapped_column(Numeric, comment="US dollars of the calls whose price is known")
    unpriced_calls: Mapped[int] = mapped_column(BigInteger, comment="Calls whose price is not known")
    latency_ms: Mapped[int] = mapped_column(BigInteger, comment="Milliseconds of the calls whose latency is known")


class _LatencyCount:
    """How many calls fell into a bucket of the latency sketch."""

    calls: Mapped[int] = mapped_column(BigInteger, comment="Calls in the bucket")


_BUCKET = "Bucket of the latency: the least n with 1.05^n >= milliseconds, 0 for a millisecond and less"


class SystemLogDelta(_Delta, _LogKey, LogsBase):
    """Rows of ``system_logs`` that one batch wrote, not folded yet."""

    __tablename__ = "system_log_deltas"
    __table_args__ = ({"comment": "Counts of system_logs, appended with the rows, until they are folded"},)

    events: Mapped[int] = mapped_column(BigInteger, comment="Rows")


class SystemLogMinute(_LogKey, LogsBase):
    """Rows of ``system_logs`` by minute."""

    __tablename__ = "system_log_minutes"
    __table_args__ = (
        PrimaryKeyConstraint("minute", "level", "component", "error_type"),
        {"comment": "Counts of system_logs by minute, of folded deltas"},
    )

    minute: Mapped[datetime] = mapped_column(DateTime(timezone=True), sort_order=-8, comment=_MINUTE)
    events: Mapped[int] = mapped_column(BigInteger, comment="Rows")


class SystemLogHour(_LogKey, LogsBase):
    """Rows of ``system_logs`` by hour."""

    __tablename__ = "system_log_hours"
    __table_args__ = (
        PrimaryKeyConstraint("hour", "level", "component", "error_type"),
        {"comment": "Counts of system_logs by hour, of folded deltas"},
    )

    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), sort_order=-8, comment=_HOUR)
    events: Mapped[int] = mapped_column(BigInteger, comment="Rows")


class LlmLogDelta(_Delta, _CallKey, _CallSums, LogsBase):
    """Rows of ``llm_logs`` that one batch wrote, not folded yet."""

    __tablename__ = "llm_log_deltas"
    __table_args__ = ({"comment": "Sums of llm_logs, appended with the rows, until they are folded"},)


class LlmLogMinute(_CallKey, _CallSums, LogsBase):
    """Rows of ``llm_logs`` by minute."""

    __tablename__ = "llm_log_minutes"
    __table_args__ = (
        PrimaryKeyConstraint("minute", "provider", "model", "operation", "status"),
        {"comment": "Sums of llm_logs by minute, of folded deltas"},
    )

    minute: Mapped[datetime] = mapped_column(DateTime(timezone=True), sort_order=-8, comment=_MINUTE)


class LlmLogHour(_CallKey, _CallSums, LogsBase):
    """Rows of ``llm_logs`` by hour."""

    __tablename__ = "llm_log_hours"
    __table_args__ = (
        PrimaryKeyConstraint("hour", "provider", "model", "operation", "status"),
        {"comment": "Sums of llm_logs by hour, of folded deltas"},
    )

    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), sort_order=-8, comment=_HOUR)


class LlmLatencyDelta(_Delta, _CallKey, _LatencyCount, LogsBase):
    """Latencies of the calls that one batch wrote, not folded yet."""

    __tablename__ = "llm_latency_deltas"
    __table_args__ = ({"comment": "Latency sketch of llm_logs, appended with the rows, until it is folded"},)

    bucket: Mapped[int] = mapped_column(Integer, sort_order=-1, comment=_BUCKET)


class LlmLatencyHour(_CallKey, _LatencyCount, LogsBase):
    """Latencies of calls by hour: sketches that add up, so that a percentile over any hours is honest."""

    __tablename__ = "llm_latency_hours"
    __table_args__ = (
        PrimaryKeyConstraint("hour", "provider", "model", "operation", "status", "bucket"),
        {"comment": "Latency sketch of llm_logs by hour, of folded deltas"},
    )

    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), sort_order=-8, comment=_HOUR)
    bucket: Mapped[int] = mapped_column(Integer, autoincrement=False, sort_order=-1, comment=_BUCKET)


class RollupDay(LogsBase):
    """A day whose rows a recount has counted, once it was over: see logs_db/rollup_recount.py."""

    __tablename__ = "rollup_days"
    __table_args__ = (
        PrimaryKeyConstraint("table_name", "day"),
        {"comment": "Days whose rows, written before there were rollups, were counted since"},
    )

    table_name: Mapped[str] = mapped_column(String(63), comment="system_logs or llm_logs")
    day: Mapped[datetime] = mapped_column(DateTime(timezone=True), comment="UTC: start of the day")
    events: Mapped[int] = mapped_column(BigInteger, comment="Rows that the recount found")
    counted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), comment="UTC, by the database's clock")
