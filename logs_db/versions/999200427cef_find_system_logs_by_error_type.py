"""
Find system logs by error type.

Revision ID: 999200427cef
Revises: 3128bca4fad3
Create Date: 2026-11-25 03:25:28.237932+00:00

Why: a rare error among many others took most of a second to find; few rows have one, so ingest does not notice.
Locks: Share on public.system_logs for 2 ms; ShareUpdateExclusive on 9 partitions of public.system_logs for 1 ms,
    measured on 1,000 rows a table.
Rollback: nothing is lost.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops  # noqa: F401 - registers op.create_index_concurrently and its like

revision = "999200427cef"
down_revision = "3128bca4fad3"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"
# Broken off at any point and run again, it goes on from what the catalog shows.
idempotent = True


def upgrade() -> None:
    op.create_index_concurrently(
        "ix_system_logs_error_type_created_at",
        "system_logs",
        ["error_type", sa.text("created_at DESC")],
        where="error_type IS NOT NULL",
        schema="public",
        partitioned=True,
    )


def downgrade() -> None:
    op.drop_index_concurrently("ix_system_logs_error_type_created_at", "system_logs", schema="public")
