"""
Keep prompts and responses apart.

Revision ID: 386629492262
Revises: 0583a2aee0bf
Create Date: 2026-11-25 02:45:37.937966+00:00

Why: lists of calls never read prompts and responses, and these can be dropped earlier than the calls' figures.
Locks: none that anybody waits for.
Rollback: loses every row of llm_payloads, so it is refused without ``-x lose-data=yes``.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "386629492262"
down_revision = "0583a2aee0bf"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"


def upgrade() -> None:
    op.create_table(
        "llm_payloads",
        sa.Column(
            "id", sa.Uuid(), nullable=False, comment="Key together with created_at, the same as the call's in llm_logs"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC, by the producer's clock: when the call was logged",
        ),
        sa.Column("prompt", sa.Text(), nullable=True, comment="What was sent, at most 1 MiB of UTF-8"),
        sa.Column("response", sa.Text(), nullable=True, comment="What came back, at most 1 MiB of UTF-8"),
        sa.PrimaryKeyConstraint("created_at", "id", name=op.f("pk_llm_payloads")),
        schema="public",
        comment="Prompts and responses of calls in llm_logs; a partition for each UTC day of created_at",
        postgresql_partition_by="RANGE (created_at)",
    )


def downgrade() -> None:
    ops.require_consent_to_lose("every row of llm_payloads")
    op.drop_table("llm_payloads", schema="public")
