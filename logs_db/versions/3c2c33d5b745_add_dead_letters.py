"""
Add dead_letters.

Revision ID: 3c2c33d5b745
Revises: 06ba06c99861
Create Date: 2026-11-24 23:25 UTC

Why: what was accepted and cannot become a row is kept, with its reason and the bytes that came in.
Locks: none that anybody waits for; the table is new.
Rollback: drops the table with every dead letter, so it is refused without ``-x lose-data=yes``.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "3c2c33d5b745"
down_revision = "06ba06c99861"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"


def upgrade() -> None:
    op.create_table(
        "dead_letters",
        sa.Column(
            "id",
            sa.Uuid(),
            nullable=False,
            comment="Key; derived from the entry, the place in it and the bytes, never random",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC, by the queue's clock: when it was accepted; source legacy: by the database's, when set aside",
        ),
        sa.Column("reason", sa.String(50), nullable=False, comment="Verdict in one word, for example not_json"),
        sa.Column("detail", sa.Text(), nullable=False, comment="The verdict in a sentence, without any of the content"),
        sa.Column(
            "event_type",
            sa.String(20),
            nullable=True,
            comment="system_log or llm_log; null where that could not be told",
        ),
        sa.Column(
            "source",
            sa.String(10),
            nullable=False,
            comment="Door by which it came: stream, list, or legacy for rows found by the conversion",
        ),
        sa.Column(
            "entry_id",
            sa.String(64),
            nullable=True,
            comment="Entry of the stream that brought it; null for source legacy",
        ),
        sa.Column(
            "entry_index", sa.Integer(), nullable=True, comment="Place in that entry, from 0; null for the whole entry"
        ),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="Bytes that came in"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of all bytes that came in, 32 bytes"),
        sa.Column(
            "raw",
            sa.LargeBinary(),
            nullable=False,
            comment="The bytes that came in; of an event over 16 MiB the first 64 KiB",
        ),
        sa.Column("raw_is_complete", sa.Boolean(), nullable=False, comment="Whether raw is all that came in"),
        sa.Column(
            "seen_count",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="Deliveries of it, the first one counted",
        ),
        sa.Column(
            "last_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock: last delivered",
        ),
        sa.CheckConstraint("reason ~ '^[a-z][a-z0-9_]*$'", name=op.f("ck_dead_letters_reason_is_a_word")),
        sa.CheckConstraint("source IN ('stream', 'list', 'legacy')", name=op.f("ck_dead_letters_source")),
        sa.CheckConstraint("entry_index >= 0", name=op.f("ck_dead_letters_entry_index_from_zero")),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_dead_letters_sha256_is_whole")),
        sa.CheckConstraint(
            "octet_length(raw) <= size_bytes AND raw_is_complete = (octet_length(raw) = size_bytes)",
            name=op.f("ck_dead_letters_raw_by_size"),
        ),
        sa.CheckConstraint("seen_count >= 1", name=op.f("ck_dead_letters_seen_once")),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
        schema="public",
        comment="Events that were accepted and cannot become rows; each is kept until its retention is over",
    )
    op.create_index("ix_dead_letters_created_at_id", "dead_letters", ["created_at", "id"], schema="public")
    op.create_index(
        "ix_dead_letters_reason_created_at_id", "dead_letters", ["reason", "created_at", "id"], schema="public"
    )


def downgrade() -> None:
    ops.require_consent_to_lose("every dead letter")
    op.drop_table("dead_letters", schema="public")
