"""
Add rollups.

Revision ID: f87270869fa3
Revises: 386629492262
Create Date: 2026-11-25 02:46:37.012516+00:00

Why: sums over days must not be counted from rows, and a stretch without a match need not be scanned.
Locks: none that anybody waits for.
Rollback: loses every row of llm_latency_deltas and every row of llm_latency_hours and every row of llm_log_deltas and
    every row of llm_log_hours and every row of llm_log_minutes and every row of rollup_days and every row of
    system_log_deltas and every row of system_log_hours and every row of system_log_minutes, so it is refused without
    ``-x lose-data=yes``.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "f87270869fa3"
down_revision = "386629492262"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"


def upgrade() -> None:
    op.create_table(
        "llm_latency_deltas",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of writing, with gaps"
        ),
        sa.Column(
            "minute",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC: start of the minute of the rows' created_at",
        ),
        sa.Column("provider", sa.String(length=50), nullable=False, comment="Provider of the calls"),
        sa.Column("model", sa.String(length=100), nullable=False, comment="Model that was asked for"),
        sa.Column(
            "operation",
            sa.String(length=50),
            nullable=False,
            comment="What the calls were for; empty where it was not told",
        ),
        sa.Column("status", sa.String(length=20), nullable=False, comment="How the calls ended"),
        sa.Column(
            "bucket",
            sa.Integer(),
            nullable=False,
            comment="Bucket of the latency: the least n with 1.05^n >= milliseconds, 0 for a millisecond and less",
        ),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="Calls in the bucket"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_latency_deltas")),
        schema="public",
        comment="Latency sketch of llm_logs, appended with the rows, until it is folded",
    )
    op.create_table(
        "llm_latency_hours",
        sa.Column(
            "hour", sa.DateTime(timezone=True), nullable=False, comment="UTC: start of the hour of the rows' created_at"
        ),
        sa.Column("provider", sa.String(length=50), nullable=False, comment="Provider of the calls"),
        sa.Column("model", sa.String(length=100), nullable=False, comment="Model that was asked for"),
        sa.Column(
            "operation",
            sa.String(length=50),
            nullable=False,
            comment="What the calls were for; empty where it was not told",
        ),
        sa.Column("status", sa.String(length=20), nullable=False, comment="How the calls ended"),
        sa.Column(
            "bucket",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Bucket of the latency: the least n with 1.05^n >= milliseconds, 0 for a millisecond and less",
        ),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="Calls in the bucket"),
        sa.PrimaryKeyConstraint(
            "hour", "provider", "model", "operation", "status", "bucket", name=op.f("pk_llm_latency_hours")
        ),
        schema="public",
        comment="Latency sketch of llm_logs by hour, of folded deltas",
    )
    op.create_table(
        "llm_log_deltas",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of writing, with gaps"
        ),
        sa.Column(
            "minute",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC: start of the minute of the rows' created_at",
        ),
        sa.Column("provider", sa.String(length=50), nullable=False, comment="Provider of the calls"),
        sa.Column("model", sa.String(length=100), nullable=False, comment="Model that was asked for"),
        sa.Column(
            "operation",
            sa.String(length=50),
            nullable=False,
            comment="What the calls were for; empty where it was not told",
        ),
        sa.Column("status", sa.String(length=20), nullable=False, comment="How the calls ended"),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="Calls"),
        sa.Column("errors", sa.BigInteger(), nullable=False, comment="Calls with an error type"),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent"),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False, comment="Tokens come back"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent and come back"),
        sa.Column("cached_prompt_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent that were cached"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, comment="Tokens put into the cache"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, comment="Tokens spent on reasoning"),
        sa.Column("cost_usd", sa.Numeric(), nullable=False, comment="US dollars of the calls whose price is known"),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False, comment="Calls whose price is not known"),
        sa.Column(
            "latency_ms", sa.BigInteger(), nullable=False, comment="Milliseconds of the calls whose latency is known"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_log_deltas")),
        schema="public",
        comment="Sums of llm_logs, appended with the rows, until they are folded",
    )
    op.create_table(
        "llm_log_hours",
        sa.Column(
            "hour", sa.DateTime(timezone=True), nullable=False, comment="UTC: start of the hour of the rows' created_at"
        ),
        sa.Column("provider", sa.String(length=50), nullable=False, comment="Provider of the calls"),
        sa.Column("model", sa.String(length=100), nullable=False, comment="Model that was asked for"),
        sa.Column(
            "operation",
            sa.String(length=50),
            nullable=False,
            comment="What the calls were for; empty where it was not told",
        ),
        sa.Column("status", sa.String(length=20), nullable=False, comment="How the calls ended"),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="Calls"),
        sa.Column("errors", sa.BigInteger(), nullable=False, comment="Calls with an error type"),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent"),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False, comment="Tokens come back"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent and come back"),
        sa.Column("cached_prompt_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent that were cached"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, comment="Tokens put into the cache"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, comment="Tokens spent on reasoning"),
        sa.Column("cost_usd", sa.Numeric(), nullable=False, comment="US dollars of the calls whose price is known"),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False, comment="Calls whose price is not known"),
        sa.Column(
            "latency_ms", sa.BigInteger(), nullable=False, comment="Milliseconds of the calls whose latency is known"
        ),
        sa.PrimaryKeyConstraint("hour", "provider", "model", "operation", "status", name=op.f("pk_llm_log_hours")),
        schema="public",
        comment="Sums of llm_logs by hour, of folded deltas",
    )
    op.create_table(
        "llm_log_minutes",
        sa.Column(
            "minute",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC: start of the minute of the rows' created_at",
        ),
        sa.Column("provider", sa.String(length=50), nullable=False, comment="Provider of the calls"),
        sa.Column("model", sa.String(length=100), nullable=False, comment="Model that was asked for"),
        sa.Column(
            "operation",
            sa.String(length=50),
            nullable=False,
            comment="What the calls were for; empty where it was not told",
        ),
        sa.Column("status", sa.String(length=20), nullable=False, comment="How the calls ended"),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="Calls"),
        sa.Column("errors", sa.BigInteger(), nullable=False, comment="Calls with an error type"),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent"),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False, comment="Tokens come back"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent and come back"),
        sa.Column("cached_prompt_tokens", sa.BigInteger(), nullable=False, comment="Tokens sent that were cached"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, comment="Tokens put into the cache"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, comment="Tokens spent on reasoning"),
        sa.Column("cost_usd", sa.Numeric(), nullable=False, comment="US dollars of the calls whose price is known"),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False, comment="Calls whose price is not known"),
        sa.Column(
            "latency_ms", sa.BigInteger(), nullable=False, comment="Milliseconds of the calls whose latency is known"
        ),
        sa.PrimaryKeyConstraint("minute", "provider", "model", "operation", "status", name=op.f("pk_llm_log_minutes")),
        schema="public",
        comment="Sums of llm_logs by minute, of folded deltas",
    )
    op.create_table(
        "rollup_days",
        sa.Column("table_name", sa.String(length=63), nullable=False, comment="system_logs or llm_logs"),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False, comment="UTC: start of the day"),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="Rows that the recount found"),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False, comment="UTC, by the database's clock"),
        sa.PrimaryKeyConstraint("table_name", "day", name=op.f("pk_rollup_days")),
        schema="public",
        comment="Days whose rows, written before there were rollups, were counted since",
    )
    op.create_table(
        "system_log_deltas",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of writing, with gaps"
        ),
        sa.Column(
            "minute",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC: start of the minute of the rows' created_at",
        ),
        sa.Column("level", sa.String(length=20), nullable=False, comment="Level of the rows"),
        sa.Column("component", sa.String(length=100), nullable=False, comment="Component of the rows"),
        sa.Column(
            "error_type",
            sa.String(length=255),
            nullable=False,
            comment="Class of the rows' error; empty where there was none",
        ),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="Rows"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_system_log_deltas")),
        schema="public",
        comment="Counts of system_logs, appended with the rows, until they are folded",
    )
    op.create_table(
        "system_log_hours",
        sa.Column(
            "hour", sa.DateTime(timezone=True), nullable=False, comment="UTC: start of the hour of the rows' created_at"
        ),
        sa.Column("level", sa.String(length=20), nullable=False, comment="Level of the rows"),
        sa.Column("component", sa.String(length=100), nullable=False, comment="Component of the rows"),
        sa.Column(
            "error_type",
            sa.String(length=255),
            nullable=False,
            comment="Class of the rows' error; empty where there was none",
        ),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="Rows"),
        sa.PrimaryKeyConstraint("hour", "level", "component", "error_type", name=op.f("pk_system_log_hours")),
        schema="public",
        comment="Counts of system_logs by hour, of folded deltas",
    )
    op.create_table(
        "system_log_minutes",
        sa.Column(
            "minute",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC: start of the minute of the rows' created_at",
        ),
        sa.Column("level", sa.String(length=20), nullable=False, comment="Level of the rows"),
        sa.Column("component", sa.String(length=100), nullable=False, comment="Component of the rows"),
        sa.Column(
            "error_type",
            sa.String(length=255),
            nullable=False,
            comment="Class of the rows' error; empty where there was none",
        ),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="Rows"),
        sa.PrimaryKeyConstraint("minute", "level", "component", "error_type", name=op.f("pk_system_log_minutes")),
        schema="public",
        comment="Counts of system_logs by minute, of folded deltas",
    )


def downgrade() -> None:
    ops.require_consent_to_lose(
        "every row of llm_latency_deltas and every row of llm_latency_hours and every row of llm_log_deltas and every row of llm_log_hours and every row of llm_log_minutes and every row of rollup_days and every row of system_log_deltas and every row of system_log_hours and every row of system_log_minutes"
    )
    op.drop_table("system_log_minutes", schema="public")
    op.drop_table("system_log_hours", schema="public")
    op.drop_table("system_log_deltas", schema="public")
    op.drop_table("rollup_days", schema="public")
    op.drop_table("llm_log_minutes", schema="public")
    op.drop_table("llm_log_hours", schema="public")
    op.drop_table("llm_log_deltas", schema="public")
    op.drop_table("llm_latency_hours", schema="public")
    op.drop_table("llm_latency_deltas", schema="public")
