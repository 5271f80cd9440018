"""
Keep account of retention.

Revision ID: 224429638776
Revises: f87270869fa3
Create Date: 2026-11-25 02:46:40.460165+00:00

Why: a day that was dropped is never made again, and what is older than retention goes only after somebody agreed.
Locks: none that anybody waits for.
Rollback: loses every row of archived_partitions and every row of dropped_partitions and every row of
    retention_states, so it is refused without ``-x lose-data=yes``.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "224429638776"
down_revision = "f87270869fa3"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"


def upgrade() -> None:
    op.create_table(
        "archived_partitions",
        sa.Column("table_name", sa.String(length=63), nullable=False, comment="Table that it belongs or belonged to"),
        sa.Column("partition_name", sa.String(length=63), nullable=False, comment="Its name"),
        sa.Column(
            "since", sa.DateTime(timezone=True), nullable=True, comment="UTC: its lower bound; null: it had none"
        ),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False, comment="UTC: its upper bound, not included"),
        sa.Column("location", sa.Text(), nullable=False, comment="Where the Parquet file is, without any secret"),
        sa.Column("rows", sa.BigInteger(), nullable=False, comment="Rows in it"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="Bytes of the file"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file"),
        sa.Column(
            "verified_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock: when it was read back",
        ),
        sa.PrimaryKeyConstraint("table_name", "partition_name", name=op.f("pk_archived_partitions")),
        schema="public",
        comment="Partitions whose rows were archived and read back",
    )
    op.create_table(
        "dropped_partitions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of dropping"),
        sa.Column("table_name", sa.String(length=63), nullable=False, comment="Table that it belonged to"),
        sa.Column("partition_name", sa.String(length=63), nullable=False, comment="Its name"),
        sa.Column(
            "since", sa.DateTime(timezone=True), nullable=True, comment="UTC: its lower bound; null: it had none"
        ),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False, comment="UTC: its upper bound, not included"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="Bytes that it and its indexes took on disk"),
        sa.Column("archive", sa.Text(), nullable=True, comment="Where it was archived to; null: nowhere"),
        sa.Column(
            "dropped_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dropped_partitions")),
        schema="public",
        comment="Partitions that retention dropped, and what they held",
    )
    op.create_table(
        "retention_states",
        sa.Column("table_name", sa.String(length=63), nullable=False, comment="system_logs, llm_logs or llm_payloads"),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock: since when retention knows the table; older rows need consent to go",
        ),
        sa.Column(
            "kept_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="UTC midnight: days before it were dropped and are never made again; null: none was",
        ),
        sa.Column(
            "consented_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="UTC midnight: rows before it, older than first_seen_at, may go; null: none",
        ),
        sa.Column(
            "consented_by",
            sa.String(length=255),
            nullable=True,
            comment="Who agreed, or which archive stands for the agreement",
        ),
        sa.PrimaryKeyConstraint("table_name", name=op.f("pk_retention_states")),
        schema="public",
        comment="Per log table: what was dropped for good, and what may be dropped",
    )


def downgrade() -> None:
    ops.require_consent_to_lose(
        "every row of archived_partitions and every row of dropped_partitions and every row of retention_states"
    )
    op.drop_table("retention_states", schema="public")
    op.drop_table("dropped_partitions", schema="public")
    op.drop_table("archived_partitions", schema="public")
