"""
Find system logs by request.

Revision ID: 3128bca4fad3
Revises: 224429638776
Create Date: 2026-11-25 03:25:13.946249+00:00

Why: the story of one request must not scan every row of a month, which took seconds.
Locks: Share on public.system_logs for 2 ms; ShareUpdateExclusive on 9 partitions of public.system_logs for 1 ms,
    measured on 1,000 rows a table.
Rollback: nothing is lost.
"""

from alembic import op

from migrator import ops  # noqa: F401 - registers op.create_index_concurrently and its like

revision = "3128bca4fad3"
down_revision = "224429638776"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"
# Broken off at any point and run again, it goes on from what the catalog shows.
idempotent = True


def upgrade() -> None:
    op.create_index_concurrently(
        "ix_system_logs_request_id",
        "system_logs",
        ["request_id"],
        where="request_id IS NOT NULL",
        schema="public",
        partitioned=True,
    )


def downgrade() -> None:
    op.drop_index_concurrently("ix_system_logs_request_id", "system_logs", schema="public")
