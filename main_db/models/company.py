"""The ``companies`` table: the employers, to which staff, jobs and invitations belong."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from main_db.models.base import CreatedAt, MainBase, UpdatedAt, UuidKey, one_of


class CompanyStatus(StrEnum):
    """Whether a company's people may work with the product."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Company(MainBase):
    """An employer.  It cannot be deleted while it has users or jobs; its invitations go with it."""

    __tablename__ = "companies"
    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug_shape"),
        CheckConstraint("btrim(name) <> ''", name="name_not_blank"),
        {"comment": "Employers that recruit with the product"},
    )

    id: Mapped[UuidKey]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    name: Mapped[str] = mapped_column(String(200), comment="Name as people read it; not blank")
    slug: Mapped[str] = mapped_column(
        String(63), comment="Name in addresses: a-z, 0-9 and single hyphens; unique in the product"
    )
    website_url: Mapped[str | None] = mapped_column(
        String(2048), comment="Public web site, an absolute URL; null where the company gave none"
    )
    status: Mapped[CompanyStatus] = mapped_column(
        one_of(CompanyStatus, "status"),
        server_default=text("'active'"),
        comment="active or suspended; nobody of a suspended company may sign in",
    )
