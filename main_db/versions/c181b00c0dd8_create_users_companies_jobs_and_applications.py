"""
Create users, companies, jobs and applications.

Revision ID: c181b00c0dd8
Revises: nothing, the base of the chain
Create Date: 2026-11-24 23:10 UTC

Why: the tables that the product cannot work without, and the two triggers that keep their clocks true whoever
    writes, the application, a script or an operator in psql.
Locks: none that anybody waits for; every table is new.
Rollback: drops the four tables with all their rows, so it is refused without ``-x lose-data=yes``.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "c181b00c0dd8"
down_revision = None
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "c181b00c0dd8"

SET_UPDATED_AT = """
CREATE FUNCTION public.set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$
"""

SET_STATUS_CHANGED_AT = """
CREATE FUNCTION public.set_status_changed_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status_changed_at := now();
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "companies",
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
        sa.Column("name", sa.String(200), nullable=False, comment="Name as people read it; not blank"),
        sa.Column(
            "slug",
            sa.String(63),
            nullable=False,
            comment="Name in addresses: a-z, 0-9 and single hyphens; unique in the product",
        ),
        sa.Column(
            "website_url", sa.String(2048), comment="Public web site, an absolute URL; null where the company gave none"
        ),
        sa.Column(
            "status",
            sa.String(20),
            server_default=sa.text("'active'"),
            nullable=False,
            comment="active or suspended; nobody of a suspended company may sign in",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_companies")),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("ck_companies_status")),
        sa.CheckConstraint("btrim(name) <> ''", name=op.f("ck_companies_name_not_blank")),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_companies_slug_shape")),
        sa.UniqueConstraint("slug", name=op.f("uq_companies_slug")),
        comment="Employers that recruit with the product",
        schema="public",
    )
    op.create_table(
        "users",
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
            "email",
            sa.String(320),
            nullable=False,
            comment="Address as the user wrote it; unique without regard to case, through lower(email)",
        ),
        sa.Column("full_name", sa.String(200), nullable=False, comment="Name as the user wrote it"),
        sa.Column(
            "role",
            sa.String(20),
            nullable=False,
            comment="admin (of the product), company_admin, recruiter, hiring_manager or candidate",
        ),
        sa.Column(
            "company_id",
            sa.Uuid(),
            comment="Employer of company_admin, recruiter and hiring_manager; null for admin and candidate",
        ),
        sa.Column(
            "deactivated_at",
            sa.DateTime(timezone=True),
            comment="UTC, by the database's clock: no sign-in since then; null while active",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.CheckConstraint(
            "role IN ('admin', 'company_admin', 'recruiter', 'hiring_manager', 'candidate')", name=op.f("ck_users_role")
        ),
        sa.CheckConstraint(
            "(role IN ('company_admin', 'recruiter', 'hiring_manager')) = (company_id IS NOT NULL)",
            name=op.f("ck_users_company_by_role"),
        ),
        sa.CheckConstraint("email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", name=op.f("ck_users_email_shape")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["public.companies.id"], name=op.f("fk_users_company_id_companies"), ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("company_id", "id", name=op.f("uq_users_company_id_id")),
        comment="Everybody who can sign in: candidates, companies' staff, the product's admins",
        schema="public",
    )
    op.create_index("uq_users_lower_email", "users", [sa.text("lower(email)")], unique=True, schema="public")
    op.create_table(
        "jobs",
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
        sa.Column("company_id", sa.Uuid(), nullable=False, comment="Company that hires"),
        sa.Column("created_by_id", sa.Uuid(), comment="User who wrote the job; null once that user is erased"),
        sa.Column(
            "hiring_manager_id",
            sa.Uuid(),
            comment="User of the same company who decides; null while nobody is named, or once that user is erased",
        ),
        sa.Column("title", sa.String(200), nullable=False, comment="Title as candidates read it; not blank"),
        sa.Column("description", sa.Text(), nullable=False, comment="What the work is and what it asks for, Markdown"),
        sa.Column("location", sa.String(200), comment="Place of work as people read it; null where it does not matter"),
        sa.Column("workplace", sa.String(20), nullable=False, comment="on_site, hybrid or remote"),
        sa.Column(
            "employment_type",
            sa.String(20),
            nullable=False,
            comment="full_time, part_time, contract, temporary or internship",
        ),
        sa.Column(
            "salary_min",
            sa.Numeric(12, 2),
            comment="Units of salary_currency a year, gross, lower end; null where no salary is shown",
        ),
        sa.Column(
            "salary_max",
            sa.Numeric(12, 2),
            comment="Units of salary_currency a year, gross, upper end; null where no salary is shown",
        ),
        sa.Column("salary_currency", sa.String(3), comment="ISO 4217 code, upper case; null where no salary is shown"),
        sa.Column(
            "status",
            sa.String(20),
            server_default=sa.text("'draft'"),
            nullable=False,
            comment="draft, open, paused or closed",
        ),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            comment="UTC, by the database's clock: first published; null for drafts only",
        ),
        sa.Column(
            "closed_at", sa.DateTime(timezone=True), comment="UTC, by the database's clock: closed; null unless closed"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.CheckConstraint("workplace IN ('on_site', 'hybrid', 'remote')", name=op.f("ck_jobs_workplace")),
        sa.CheckConstraint(
            "employment_type IN ('full_time', 'part_time', 'contract', 'temporary', 'internship')",
            name=op.f("ck_jobs_employment_type"),
        ),
        sa.CheckConstraint("status IN ('draft', 'open', 'paused', 'closed')", name=op.f("ck_jobs_status")),
        sa.CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_jobs_closed_at_by_status")),
        sa.CheckConstraint("(status = 'draft') = (opened_at IS NULL)", name=op.f("ck_jobs_opened_unless_draft")),
        sa.CheckConstraint("btrim(title) <> ''", name=op.f("ck_jobs_title_not_blank")),
        sa.CheckConstraint("salary_currency ~ '^[A-Z]{3}$'", name=op.f("ck_jobs_salary_currency_shape")),
        sa.CheckConstraint(
            "(salary_min IS NULL) = (salary_max IS NULL) AND (salary_min IS NULL) = (salary_currency IS NULL)",
            name=op.f("ck_jobs_salary_whole_or_absent"),
        ),
        sa.CheckConstraint("closed_at >= opened_at", name=op.f("ck_jobs_closed_after_opened")),
        sa.CheckConstraint("salary_min >= 0 AND salary_max >= salary_min", name=op.f("ck_jobs_salary_range")),
        sa.ForeignKeyConstraint(
            ["company_id", "hiring_manager_id"],
            ["public.users.company_id", "public.users.id"],
            name=op.f("fk_jobs_company_id_hiring_manager_id_users"),
            ondelete="SET NULL (hiring_manager_id)",
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["public.companies.id"], name=op.f("fk_jobs_company_id_companies"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["public.users.id"], name=op.f("fk_jobs_created_by_id_users"), ondelete="SET NULL"
        ),
        comment="Openings of companies",
        schema="public",
    )
    op.create_index(
        "ix_jobs_company_id_hiring_manager_id", "jobs", ["company_id", "hiring_manager_id"], schema="public"
    )
    op.create_index(
        "ix_jobs_company_id_status_created_at",
        "jobs",
        ["company_id", "status", sa.text("created_at DESC")],
        schema="public",
    )
    op.create_index("ix_jobs_created_by_id", "jobs", ["created_by_id"], schema="public")
    op.create_index(
        "ix_jobs_open_opened_at",
        "jobs",
        [sa.text("opened_at DESC"), "id"],
        schema="public",
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "applications",
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
            "job_id", sa.Uuid(), nullable=False, comment="Job applied for; one with applications is never deleted"
        ),
        sa.Column(
            "candidate_id",
            sa.Uuid(),
            nullable=False,
            comment="User who applied; erasing the user erases the application",
        ),
        sa.Column(
            "status",
            sa.String(20),
            server_default=sa.text("'submitted'"),
            nullable=False,
            comment="submitted, screening, interviewing, offered, hired, rejected or withdrawn",
        ),
        sa.Column(
            "status_changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="UTC, by the database's clock: in this status since then",
        ),
        sa.Column("cover_letter", sa.Text(), comment="The candidate's letter, plain text; null where none was written"),
        sa.Column(
            "resume_url", sa.String(2048), comment="Where the file storage keeps the résumé; null where none was sent"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_applications")),
        sa.CheckConstraint(
            "status IN ('submitted', 'screening', 'interviewing', 'offered', 'hired', 'rejected', 'withdrawn')",
            name=op.f("ck_applications_status"),
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["public.users.id"], name=op.f("fk_applications_candidate_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["public.jobs.id"], name=op.f("fk_applications_job_id_jobs"), ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("job_id", "candidate_id", name=op.f("uq_applications_job_id_candidate_id")),
        comment="Applications: one per job and candidate",
        schema="public",
    )
    op.create_index(
        "ix_applications_candidate_id_created_at",
        "applications",
        ["candidate_id", sa.text("created_at DESC")],
        schema="public",
    )
    op.create_index(
        "ix_applications_job_id_status_status_changed_at",
        "applications",
        ["job_id", "status", "status_changed_at"],
        schema="public",
    )

    op.execute(SET_UPDATED_AT)
    for table in ("companies", "users", "jobs", "applications"):
        op.execute(f"""
            CREATE TRIGGER {table}_set_updated_at BEFORE UPDATE ON public.{table}
            FOR EACH ROW EXECUTE FUNCTION public.set_updated_at()
        """)
    op.execute(SET_STATUS_CHANGED_AT)
    op.execute("""
        CREATE TRIGGER applications_set_status_changed_at BEFORE UPDATE OF status ON public.applications
        FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION public.set_status_changed_at()
    """)


def downgrade() -> None:
    ops.require_consent_to_lose("every user, company, job and application")
    for table in ("applications", "jobs", "users", "companies"):
        op.drop_table(table, schema="public")
    op.execute("DROP FUNCTION public.set_status_changed_at()")
    op.execute("DROP FUNCTION public.set_updated_at()")
