"""
Give the log tables today's columns.

Revision ID: 06ba06c99861
Revises: 547db52b480d
Create Date: 2026-11-24 23:25 UTC

Both tables get trace and origin of an event, llm_logs also what today's models report.  cost_usd loses its limit of
six digits after the point: a cached token costs less than a millionth of a dollar.  Every column gets its comment.

Why: events of version 1 are these columns in this order.
Locks: AccessExclusive on each table and its partitions for some milliseconds; nothing is rewritten or scanned.
Rollback: loses what is in the new columns and rounds cost_usd, so it is refused without ``-x lose-data=yes``; rewrites
    llm_logs under AccessExclusive.
"""

from alembic import op

from migrator import ops

revision = "06ba06c99861"
down_revision = "547db52b480d"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "bc3638ffe20e"

SYSTEM_LOGS_COLUMNS = (
    "trace_id varchar(32)",
    "span_id varchar(16)",
    "service varchar(100)",
    "host varchar(255)",
)

LLM_LOGS_COLUMNS = (
    "trace_id varchar(32)",
    "span_id varchar(16)",
    "service varchar(100)",
    "host varchar(255)",
    "session_id varchar(100)",
    "response_model varchar(100)",
    "cached_prompt_tokens integer",
    "cache_write_tokens integer",
    "reasoning_tokens integer",
    "time_to_first_token_ms integer",
    "finish_reason varchar(50)",
    "streamed boolean",
)

SYSTEM_LOGS_COMMENTS = {
    "id": "Key together with created_at; UUIDv7 by the producer, random where it gave none",
    "created_at": "UTC, by the producer's clock: when the line was logged; the database's clock where it gave none",
    "level": "DEBUG, INFO, WARNING, ERROR or CRITICAL",
    "component": "Part of the program, often a logger's name",
    "message": "What was logged, at most 1 MiB of UTF-8",
    "error_type": "Class of the error that was logged; null where none was",
    "error_message": "Text of the error that was logged, at most 1 MiB",
    "stack_trace": "Stack trace of the error, at most 1 MiB",
    "user_id": "User on whose behalf the program ran, by the main database",
    "company_id": "Company of that user, by the main database",
    "request_id": "Request in the course of which it was logged",
    "extra_data": "Whatever else the event carried, an object; what was cut or not understood is noted in it",
    "trace_id": "W3C trace id, 32 lower-case hexadecimal digits",
    "span_id": "W3C span id, 16 lower-case hexadecimal digits",
    "service": "Service that logged, as its operators call it",
    "host": "Name of the machine or container that logged",
}

LLM_LOGS_COMMENTS = {
    "id": "Key together with created_at; UUIDv7 by the producer, random where it gave none",
    "created_at": "UTC, by the producer's clock: when the call was logged; the database's clock where it gave none",
    "provider": "Who runs the model, for example openai",
    "model": "Model that was asked for",
    "operation": "What the call was for, for example chat",
    "prompt": "What was sent, at most 1 MiB of UTF-8",
    "response": "What came back, at most 1 MiB of UTF-8",
    "prompt_tokens": "Tokens sent, cached ones among them",
    "completion_tokens": "Tokens that came back, reasoning among them",
    "total_tokens": "Tokens sent and come back, as the provider counts them",
    "cost_usd": "US dollars, exact; null where the price is not known",
    "latency_ms": "Milliseconds from call to answer, by the producer's clock",
    "status": "How the call ended, for example success or error",
    "error_type": "Class of the error that ended the call; null where none did",
    "error_message": "Text of that error, at most 1 MiB of UTF-8",
    "user_id": "User on whose behalf the call was made, by the main database",
    "company_id": "Company of that user, by the main database",
    "request_id": "Request in the course of which it was made",
    "extra_data": "Whatever else the event carried, an object; what was cut or not understood is noted in it",
    "trace_id": "W3C trace id, 32 lower-case hexadecimal digits",
    "span_id": "W3C span id, 16 lower-case hexadecimal digits",
    "service": "Service that called, as its operators call it",
    "host": "Name of the machine or container that called",
    "session_id": "Conversation that the call belongs to",
    "response_model": "Model that answered, where the provider names it",
    "cached_prompt_tokens": "Tokens sent that the provider had cached",
    "cache_write_tokens": "Tokens sent that the provider put into its cache",
    "reasoning_tokens": "Tokens come back that were spent on reasoning",
    "time_to_first_token_ms": "Milliseconds from call to first token, by the producer's clock; null where not streamed",
    "finish_reason": "Why the model stopped, in the provider's words",
    "streamed": "Whether the answer came in pieces; null where not known",
}

TABLE_COMMENTS = {
    "system_logs": "Lines of programs' logs; a partition for each UTC day of created_at",
    "llm_logs": "Calls of language models; a partition for each UTC day of created_at",
}
COLUMN_COMMENTS = {"system_logs": SYSTEM_LOGS_COMMENTS, "llm_logs": LLM_LOGS_COMMENTS}
NEW_COLUMNS = {"system_logs": SYSTEM_LOGS_COLUMNS, "llm_logs": LLM_LOGS_COLUMNS}


def upgrade() -> None:
    # What stops nobody comes first, so that the tables are locked for a few statements only.
    for table, comments in COLUMN_COMMENTS.items():
        op.create_table_comment(table, TABLE_COMMENTS[table], schema="public")
        comment_on(table, {name: comments[name] for name in comments if name not in new_names(table)})
    for table, columns in NEW_COLUMNS.items():
        op.execute(f"ALTER TABLE public.{table} " + ", ".join(f"ADD COLUMN {column}" for column in columns))
    op.execute("ALTER TABLE public.llm_logs ALTER COLUMN cost_usd TYPE numeric")
    for table, comments in COLUMN_COMMENTS.items():
        comment_on(table, {name: comments[name] for name in new_names(table)})


def downgrade() -> None:
    ops.require_consent_to_lose("what is in today's columns of system_logs and llm_logs, and the digits of small costs")
    for table in NEW_COLUMNS:
        op.drop_table_comment(table, schema="public")
        comment_on(table, dict.fromkeys(COLUMN_COMMENTS[table]))
        op.execute(f"ALTER TABLE public.{table} " + ", ".join(f"DROP COLUMN {name}" for name in new_names(table)))
    op.execute("ALTER TABLE public.llm_logs ALTER COLUMN cost_usd TYPE numeric(12,6)")


def new_names(table: str) -> list[str]:
    return [column.split()[0] for column in NEW_COLUMNS[table]]


def comment_on(table: str, comments: dict[str, str | None]) -> None:
    for column, comment in comments.items():
        op.alter_column(table, column, comment=comment, schema="public")
