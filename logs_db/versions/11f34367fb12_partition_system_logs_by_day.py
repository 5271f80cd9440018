"""
Partition system_logs by day.

Revision ID: 11f34367fb12
Revises: bc3638ffe20e
Create Date: 2026-11-24 23:23 UTC

The legacy table becomes the partition system_logs_legacy, which ends at a UTC midnight two to three days ahead; the
days after it have partitions of their own.  Legacy clients go on inserting, without id and created_at.  Rows dated
beyond that midnight are moved to system_logs_misdated, from where the worker's maintenance puts them back or into
dead_letters.  ``ON CONFLICT (id)`` no longer finds a constraint: the key is (created_at, id).

Why: old logs go by dropping a partition, and inserts and recent reads stay as quick as on an empty table.
Locks: while the new key's index is built and the bound is checked, only other changes of the schema wait.
    AccessExclusive for an instant to add the bound, and for some milliseconds to change places, asked for in short
    tries.  An empty table is replaced in one short transaction.
Rollback: copies every row, those moved aside included, back into one plain table; nothing is lost, but the table is
    locked meanwhile, which takes about a minute for ten million rows.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "11f34367fb12"
down_revision = "bc3638ffe20e"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"
# Killed at any point and run again, it goes on from what the catalog shows.
idempotent = True


def upgrade() -> None:
    op.attach_as_partition(
        "system_logs",
        key="created_at",
        primary_key=("created_at", "id"),
        primary_key_name="pk_system_logs",
        legacy_partition="system_logs_legacy",
        legacy_primary_key_name="pk_system_logs_legacy",
        indexes=(
            ops.HandedIndex(
                "idx_system_logs_level_created",
                ("level", sa.text("created_at DESC")),
                legacy_name="idx_system_logs_legacy_level_created",
            ),
            ops.HandedIndex(
                "idx_system_logs_component_created",
                ("component", sa.text("created_at DESC")),
                legacy_name="idx_system_logs_legacy_component_created",
            ),
            ops.HandedIndex(
                "idx_system_logs_errors",
                (sa.text("created_at DESC"),),
                legacy_name="idx_system_logs_legacy_errors",
                where="error_type IS NOT NULL",
            ),
        ),
        partition_name="{table}_{day:%Y_%m_%d}",
        days_ahead=7,
        schema="public",
    )


def downgrade() -> None:
    op.merge_partitions(
        "system_logs",
        primary_key=("id",),
        primary_key_name="system_logs_pkey",
        indexes=(
            ("idx_system_logs_level_created", ("level", sa.text("created_at DESC")), None),
            ("idx_system_logs_component_created", ("component", sa.text("created_at DESC")), None),
            ("idx_system_logs_errors", (sa.text("created_at DESC"),), "error_type IS NOT NULL"),
        ),
        schema="public",
    )
