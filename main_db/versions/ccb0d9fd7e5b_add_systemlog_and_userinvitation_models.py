"""
Add SystemLog and UserInvitation models.

Revision ID: ccb0d9fd7e5b
Revises: c181b00c0dd8
Create Date: 2026-11-24 23:12 UTC

In spite of its name it creates user_invitations only.  It does NOT create system_logs: that table belongs to the logs
database, whose chain lives in logs_db/versions.  Name and id are history and stay as they are.

Why: staff join by invitation; at most one invitation per company and address may be open.
Locks: ShareRowExclusive on companies and users for the foreign keys: their writers wait for some milliseconds.
Rollback: drops user_invitations with all its rows, so it is refused without ``-x lose-data=yes``; all else stays.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "ccb0d9fd7e5b"
down_revision = "c181b00c0dd8"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "c181b00c0dd8"


def upgrade() -> None:
    op.create_table(
        "user_invitations",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Key; random, made by the database",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock: start of the transaction that inserted the row",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock: start of the transaction that last changed the row, set by a trigger",
        ),
        sa.Column(
            "email", sa.String(320), nullable=False, comment="Address the invitation was sent to, as it was written"
        ),
        sa.Column(
            "role",
            sa.String(20),
            nullable=False,
            comment="Role the account will have: admin (of the product), company_admin, recruiter or hiring_manager",
        ),
        sa.Column("company_id", sa.Uuid(), comment="Company the account will belong to; null for role admin only"),
        sa.Column("invited_by_id", sa.Uuid(), comment="User who invited; null once that user is erased"),
        sa.Column(
            "token_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the token in the link, 32 bytes; the token itself is stored nowhere",
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="UTC, by the database's clock: the link works until then",
        ),
        sa.Column(
            "accepted_at",
            sa.DateTime(timezone=True),
            comment="UTC, by the database's clock: the account was made; null until then",
        ),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            comment="UTC, by the database's clock: withdrawn by staff; null unless withdrawn",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_invitations")),
        sa.CheckConstraint(
            "role IN ('admin', 'company_admin', 'recruiter', 'hiring_manager', 'candidate')",
            name=op.f("ck_user_invitations_role"),
        ),
        sa.CheckConstraint(
            "(role IN ('company_admin', 'recruiter', 'hiring_manager')) = (company_id IS NOT NULL)",
            name=op.f("ck_user_invitations_company_by_role"),
        ),
        sa.CheckConstraint("email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", name=op.f("ck_user_invitations_email_shape")),
        sa.CheckConstraint("role <> 'candidate'", name=op.f("ck_user_invitations_role_is_staff")),
        sa.CheckConstraint("accepted_at <= expires_at", name=op.f("ck_user_invitations_accepted_before_expiry")),
        sa.CheckConstraint(
            "accepted_at IS NULL OR revoked_at IS NULL", name=op.f("ck_user_invitations_accepted_or_revoked")
        ),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_user_invitations_expires_after_created")),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("ck_user_invitations_token_hash_is_sha256")),
        sa.ForeignKeyConstraint(
            ["company_id"],
            ["public.companies.id"],
            name=op.f("fk_user_invitations_company_id_companies"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["invited_by_id"],
            ["public.users.id"],
            name=op.f("fk_user_invitations_invited_by_id_users"),
            ondelete="SET NULL",
        ),
        sa.UniqueConstraint("token_hash", name=op.f("uq_user_invitations_token_hash")),
        comment="Invitations to staff; at most one open per company and address",
        schema="public",
    )
    op.create_index(
        "ix_user_invitations_company_id_created_at",
        "user_invitations",
        ["company_id", sa.text("created_at DESC")],
        schema="public",
    )
    op.create_index("ix_user_invitations_invited_by_id", "user_invitations", ["invited_by_id"], schema="public")
    op.create_index(
        "uq_user_invitations_open_company_id_lower_email",
        "user_invitations",
        ["company_id", sa.text("lower(email)")],
        unique=True,
        schema="public",
        postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )

    op.execute("""
        CREATE TRIGGER user_invitations_set_updated_at BEFORE UPDATE ON public.user_invitations
        FOR EACH ROW EXECUTE FUNCTION public.set_updated_at()
    """)


def downgrade() -> None:
    ops.require_consent_to_lose("every invitation")
    op.drop_table("user_invitations", schema="public")
