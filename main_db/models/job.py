"""The ``jobs`` table: openings, from draft to closed."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from main_db.models.base import CreatedAt, MainBase, UpdatedAt, UuidKey, one_of


class JobStatus(StrEnum):
    """Where an opening stands.  Only an open one takes applications."""

    DRAFT = "draft"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class EmploymentType(StrEnum):
    """The kind of contract that is offered."""

    FULL_TIME = "full_time"
    PART_TIME = "part_time"
    CONTRACT = "contract"
    TEMPORARY = "temporary"
    INTERNSHIP = "internship"


class Workplace(StrEnum):
    """Where the work is done."""

    ON_SITE = "on_site"
    HYBRID = "hybrid"
    REMOTE = "remote"


class Job(MainBase):
    """An opening of one company.  One with applications is closed, not deleted."""

    __tablename__ = "jobs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["company_id", "hiring_manager_id"],
            ["users.company_id", "users.id"],
            # Of the two columns only the manager is emptied: the job stays with its company.
            ondelete="SET NULL (hiring_manager_id)",
        ),
        CheckConstraint("btrim(title) <> ''", name="title_not_blank"),
        CheckConstraint("(status = 'draft') = (opened_at IS NULL)", name="opened_unless_draft"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_at_by_status"),
        CheckConstraint("closed_at >= opened_at", name="closed_after_opened"),
        CheckConstraint("salary_min >= 0 AND salary_max >= salary_min", name="salary_range"),
        CheckConstraint(
            "(salary_min IS NULL) = (salary_max IS NULL) AND (salary_min IS NULL) = (salary_currency IS NULL)",
            name="salary_whole_or_absent",
        ),
        CheckConstraint("salary_currency ~ '^[A-Z]{3}$'", name="salary_currency_shape"),
        # A company's own list; also the index of the foreign key to companies.
        Index("ix_jobs_company_id_status_created_at", "company_id", "status", text("created_at DESC")),
        Index("ix_jobs_company_id_hiring_manager_id", "company_id", "hiring_manager_id"),
        Index("ix_jobs_created_by_id", "created_by_id"),
        # The public board, newest first; drafts and closed jobs cost it nothing.
        Index("ix_jobs_open_opened_at", text("opened_at DESC"), "id", postgresql_where=text("status = 'open'")),
        {"comment": "Openings of companies"},
    )

    id: Mapped[UuidKey]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    company_id: Mapped[UUID] = mapped_column(
        ForeignKey("companies.id", ondelete="RESTRICT"), comment="Company that hires"
    )
    created_by_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), comment="User who wrote the job; null once that user is erased"
    )
    hiring_manager_id: Mapped[UUID | None] = mapped_column(
        comment="User of the same company who decides; null while nobody is named, or once that user is erased"
    )
    title: Mapped[str] = mapped_column(String(200), comment="Title as candidates read it; not blank")
    description: Mapped[str] = mapped_column(Text, comment="What the work is and what it asks for, Markdown")
    location: Mapped[str | None] = mapped_column(
        String(200), comment="Place of work as people read it; null where it does not matter"
    )
    workplace: Mapped[Workplace] = mapped_column(one_of(Workplace, "workplace"), comment="on_site, hybrid or remote")
    employment_type: Mapped[EmploymentType] = mapped_column(
        one_of(EmploymentType, "employment_type"),
        comment="full_time, part_time, contract, temporary or internship",
    )
    salary_min: Mapped[Decimal | None] = mapped_column(
        Numeric(12, 2), comment="Units of salary_currency a year, gross, lower end; null where no salary is shown"
    )
    salary_max: Mapped[Decimal | None] = mapped_column(
        Numeric(12, 2), comment="Units of salary_currency a year, gross, upper end; null where no salary is shown"
    )
    salary_currency: Mapped[str | None] = mapped_column(
        String(3), comment="ISO 4217 code, upper case; null where no salary is shown"
    )
    status: Mapped[JobStatus] = mapped_column(
        one_of(JobStatus, "status"), server_default=text("'draft'"), comment="draft, open, paused or closed"
    )
    opened_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the database's clock: first published; null for drafts only"
    )
    closed_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="UTC, by the database's clock: closed; null unless closed"
    )
