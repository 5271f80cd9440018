"""The ``applications`` table: who applied for which job, and how far it went."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from main_db.models.base import CreatedAt, MainBase, UpdatedAt, UuidKey, one_of


class ApplicationStatus(StrEnum):
    """How far an application has come.  The last three are final."""

    SUBMITTED = "submitted"
    SCREENING = "screening"
    INTERVIEWING = "interviewing"
    OFFERED = "offered"
    HIRED = "hired"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Application(MainBase):
    """One candidate's application for one job; erasing the candidate erases it."""

    __tablename__ = "applications"
    __table_args__ = (
        # Also the index of the foreign key to jobs.
        UniqueConstraint("job_id", "candidate_id"),
        # A recruiter's board: one column per status, the longest waiting first.
        Index("ix_applications_job_id_status_status_changed_at", "job_id", "status", "status_changed_at"),
        # A candidate's own list; also the index of the foreign key to users.
        Index("ix_applications_candidate_id_created_at", "candidate_id", text("created_at DESC")),
        {"comment": "Applications: one per job and candidate"},
    )

    id: Mapped[UuidKey]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="RESTRICT"), comment="Job applied for; one with applications is never deleted"
    )
    candidate_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), comment="User who applied; erasing the user erases the application"
    )
    status: Mapped[ApplicationStatus] = mapped_column(
        one_of(ApplicationStatus, "status"),
        server_default=text("'submitted'"),
        comment="submitted, screening, interviewing, offered, hired, rejected or withdrawn",
    )
    status_changed_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        comment="UTC, by the database's clock: in this status since then",
    )
    cover_letter: Mapped[str | None] = mapped_column(
        Text, comment="The candidate's letter, plain text; null where none was written"
    )
    resume_url: Mapped[str | None] = mapped_column(
        String(2048), comment="Where the file storage keeps the résumé; null where none was sent"
    )
