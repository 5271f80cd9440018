"""The ``user_invitations`` table: who was asked to join, by whom, and what became of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from main_db.models.base import EMAIL_SHAPE, CreatedAt, MainBase, UpdatedAt, UuidKey, one_of
from main_db.models.user import STAFF_HAS_A_COMPANY, UserRole


class UserInvitation(MainBase):
    """
    An invitation by e-mail to join a company's staff, or the product's admins.

    It is open until it is accepted or revoked, and open is at most one per company and address.  One that has merely
    expired is still open: revoke it when the person is invited again.
    """

    __tablename__ = "user_invitations"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        CheckConstraint("role <> 'candidate'", name="role_is_staff"),
        CheckConstraint(STAFF_HAS_A_COMPANY, name="company_by_role"),
        CheckConstraint(EMAIL_SHAPE, name="email_shape"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash_is_sha256"),
        CheckConstraint("expires_at > created_at", name="expires_after_created"),
        CheckConstraint("accepted_at <= expires_at", name="accepted_before_expiry"),
        CheckConstraint("accepted_at IS NULL OR revoked_at IS NULL", name="accepted_or_revoked"),
        # NULLS NOT DISTINCT: invitations of the product's admins have no company, and are one per address as well.
        Index(
            "uq_user_invitations_open_company_id_lower_email",
            "company_id",
            text("lower(email)"),
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        # A company's list, newest first; also the index of the foreign key to companies.
        Index("ix_user_invitations_company_id_created_at", "company_id", text("created_at DESC")),
        Index("ix_user_invitations_invited_by_id", "invited_by_id"),
        {"comment": "Invitations to staff; at most one open per company and address"},
    )

    id: Mapped[UuidKey]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    email: Mapped[str] = mapped_column(String(320), comment="Address the invitation was sent to, as it was written")
    role: Mapped[UserRole] = mapped_column(
        one_of(UserRole, "role"),
        comment="Role the account will have: admin (of the product), company_admin, recruiter or hiring_manager",
    )
    company_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("companies.id", ondelete="CASCADE"),
        comment="Company the account will belong to; null for role admin only",
    )
    invited_by_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), comment="User who invited; null once that user is erased"
    )
    token_hash: Mapped[bytes] = mapped_column(
        LargeBinary, comment="SHA-256 of the token in the link, 32 bytes; the token itself is stored nowhere"
    )
    expires_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the database's clock: the link works until then"
    )
    accepted_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the database's clock: the account was made; null until then"
    )
    revoked_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the database's clock: withdrawn by staff; null unless withdrawn"
    )
