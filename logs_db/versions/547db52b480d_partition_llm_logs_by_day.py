"""
Partition llm_logs by day.

Revision ID: 547db52b480d
Revises: 11f34367fb12
Create Date: 2026-11-24 23:23 UTC

As system_logs in the revision before: the legacy table becomes the partition llm_logs_legacy, misdated rows wait in
llm_logs_misdated.

Why: old logs go by dropping a partition, and inserts and recent reads stay as quick as on an empty table.
Locks: while the new key's index is built and the bound is checked, only other changes of the schema wait.
    AccessExclusive for an instant to add the bound, and for some milliseconds to change places, asked for in short
    tries.  An empty table is replaced in one short transaction.
Rollback: copies every row, those moved aside included, back into one plain table; nothing is lost, but the table is
    locked meanwhile, which takes about a minute for ten million rows.
"""

from alembic import op

from migrator import ops  # noqa: F401 - makes attach_as_partition a member of op

revision = "547db52b480d"
down_revision = "11f34367fb12"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"
# Killed at any point and run again, it goes on from what the catalog shows.
idempotent = True


def upgrade() -> None:
    op.attach_as_partition(
        "llm_logs",
        key="created_at",
        primary_key=("created_at", "id"),
        primary_key_name="pk_llm_logs",
        legacy_partition="llm_logs_legacy",
        legacy_primary_key_name="pk_llm_logs_legacy",
        partition_name="{table}_{day:%Y_%m_%d}",
        days_ahead=7,
        schema="public",
    )


def downgrade() -> None:
    op.merge_partitions("llm_logs", primary_key=("id",), primary_key_name="llm_logs_pkey", schema="public")
