"""The ``users`` table: everybody who can sign in, candidates and staff alike."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from main_db.models.base import EMAIL_SHAPE, CreatedAt, MainBase, UpdatedAt, UuidKey, one_of

STAFF_HAS_A_COMPANY = "(role IN ('company_admin', 'recruiter', 'hiring_manager')) = (company_id IS NOT NULL)"


class UserRole(StrEnum):
    """What a user may do.  All but the product's own admins and the candidates work for exactly one company."""

    ADMIN = "admin"
    COMPANY_ADMIN = "company_admin"
    RECRUITER = "recruiter"
    HIRING_MANAGER = "hiring_manager"
    CANDIDATE = "candidate"


class User(MainBase):
    """
    A person with an account.

    Staff who leave are deactivated, so that their jobs keep an author; deleting is for erasure on a person's demand
    and takes the person's applications along.
    """

    __tablename__ = "users"
    __table_args__ = (
        # Also the index of the foreign key to companies, and what jobs refer to, so that a job's hiring manager
        # is always of the job's own company.
        UniqueConstraint("company_id", "id"),
        CheckConstraint(STAFF_HAS_A_COMPANY, name="company_by_role"),
        CheckConstraint(EMAIL_SHAPE, name="email_shape"),
        Index("uq_users_lower_email", text("lower(email)"), unique=True),
        {"comment": "Everybody who can sign in: candidates, companies' staff, the product's admins"},
    )

    id: Mapped[UuidKey]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    email: Mapped[str] = mapped_column(
        String(320), comment="Address as the user wrote it; unique without regard to case, through lower(email)"
    )
    full_name: Mapped[str] = mapped_column(String(200), comment="Name as the user wrote it")
    role: Mapped[UserRole] = mapped_column(
        one_of(UserRole, "role"),
        comment="admin (of the product), company_admin, recruiter, hiring_manager or candidate",
    )
    company_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("companies.id", ondelete="RESTRICT"),
        comment="Employer of company_admin, recruiter and hiring_manager; null for admin and candidate",
    )
    deactivated_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the database's clock: no sign-in since then; null while active"
    )
