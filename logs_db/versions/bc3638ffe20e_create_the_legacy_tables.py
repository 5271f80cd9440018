"""
Create the legacy tables.

Revision ID: bc3638ffe20e
Revises: nothing, the base of the chain
Create Date: 2026-11-24 23:23 UTC

It is what the legacy worker's create_tables() left behind in every deployed logs database, to the letter and without
a comment, so that such a database is recognised and adopted at this revision.

Why: one chain for new databases and for those that have been collecting logs for years.
Locks: none that anybody waits for; every table is new.
Rollback: drops both tables with all their rows, so it is refused without ``-x lose-data=yes``.
"""

from alembic import op

from migrator import ops

revision = "bc3638ffe20e"
down_revision = None
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"

SYSTEM_LOGS = """
CREATE TABLE public.system_logs (
    id            uuid DEFAULT gen_random_uuid() CONSTRAINT system_logs_pkey PRIMARY KEY,
    created_at    timestamptz NOT NULL DEFAULT now(),
    level         varchar(20) NOT NULL,
    component     varchar(100) NOT NULL,
    message       text NOT NULL,
    error_type    varchar(255),
    error_message text,
    stack_trace   text,
    user_id       uuid,
    company_id    uuid,
    request_id    varchar(100),
    extra_data    jsonb
)
"""

LLM_LOGS = """
CREATE TABLE public.llm_logs (
    id                uuid DEFAULT gen_random_uuid() CONSTRAINT llm_logs_pkey PRIMARY KEY,
    created_at        timestamptz NOT NULL DEFAULT now(),
    provider          varchar(50) NOT NULL,
    model             varchar(100) NOT NULL,
    operation         varchar(50),
    prompt            text,
    response          text,
    prompt_tokens     integer,
    completion_tokens integer,
    total_tokens      integer,
    cost_usd          numeric(12,6),
    latency_ms        integer,
    status            varchar(20) NOT NULL,
    error_type        varchar(255),
    error_message     text,
    user_id           uuid,
    company_id        uuid,
    request_id        varchar(100),
    extra_data        jsonb
)
"""


def upgrade() -> None:
    op.execute(SYSTEM_LOGS)
    op.execute("CREATE INDEX idx_system_logs_level_created ON public.system_logs (level, created_at DESC)")
    op.execute("CREATE INDEX idx_system_logs_component_created ON public.system_logs (component, created_at DESC)")
    op.execute(
        "CREATE INDEX idx_system_logs_errors ON public.system_logs (created_at DESC) WHERE error_type IS NOT NULL"
    )
    op.execute(LLM_LOGS)


def downgrade() -> None:
    ops.require_consent_to_lose("every system log and LLM log")
    op.execute("DROP TABLE public.llm_logs")
    op.execute("DROP TABLE public.system_logs")
