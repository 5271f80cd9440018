"""
Add the ledger.

Revision ID: 7d1c5e0a94b3
Revises: 3c2c33d5b745
Create Date: 2026-11-25 00:30 UTC

ledger_entries takes a row for each kind of event of a stream entry, in the transaction that writes its events, so that
two workers meet only where they hold the same entry. Maintenance folds finished entries into ledger_hours.

Why: what was accepted must equal what became rows, was there already, or is dead; and somebody must be able to check.
Locks: none that anybody waits for; the tables are new.
Rollback: drops both tables with all sums, so it is refused without ``-x lose-data=yes``; no log is lost.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "7d1c5e0a94b3"
down_revision = "3c2c33d5b745"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"


def upgrade() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column(
            "entry_ms",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Milliseconds since 1970, by the queue's clock",
        ),
        sa.Column(
            "entry_seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Which of the entries of that millisecond",
        ),
        sa.Column(
            "generation",
            sa.String(32),
            nullable=False,
            comment="Which of the streams that there ever were it came from",
        ),
        sa.Column(
            "kind", sa.String(20), nullable=False, comment="system_log, llm_log or other, as the door could see it"
        ),
        sa.Column("written_events", sa.Integer(), nullable=False, comment="Events that became rows"),
        sa.Column(
            "deduplicated_events",
            sa.Integer(),
            nullable=False,
            comment="Events that another accepted copy had made rows of",
        ),
        sa.Column("dead_events", sa.Integer(), nullable=False, comment="Events that became dead letters"),
        sa.CheckConstraint(
            "written_events >= 0 AND deduplicated_events >= 0 AND dead_events >= 0",
            name=op.f("ck_ledger_entries_no_negatives"),
        ),
        sa.PrimaryKeyConstraint("entry_ms", "entry_seq", "generation", "kind", name=op.f("pk_ledger_entries")),
        schema="public",
        comment="What became of the events of each stream entry, until it is folded into ledger_hours",
    )
    op.create_table(
        "ledger_hours",
        sa.Column(
            "accepted_hour",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC, by the queue's clock: start of the hour of acceptance",
        ),
        sa.Column(
            "generation",
            sa.String(32),
            nullable=False,
            comment="Which of the streams that there ever were they came from",
        ),
        sa.Column(
            "kind", sa.String(20), nullable=False, comment="system_log, llm_log or other, as the door could see it"
        ),
        sa.Column("written_events", sa.BigInteger(), nullable=False, comment="Events that became rows"),
        sa.Column(
            "deduplicated_events",
            sa.BigInteger(),
            nullable=False,
            comment="Events that another accepted copy had made rows of",
        ),
        sa.Column("dead_events", sa.BigInteger(), nullable=False, comment="Events that became dead letters"),
        sa.PrimaryKeyConstraint("accepted_hour", "generation", "kind", name=op.f("pk_ledger_hours")),
        schema="public",
        comment="What became of the events that were accepted in each hour, of finished entries",
    )


def downgrade() -> None:
    ops.require_consent_to_lose("every sum of the ledger")
    op.drop_table("ledger_hours", schema="public")
    op.drop_table("ledger_entries", schema="public")
