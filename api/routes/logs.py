"""Pages of ``system_logs`` and ``llm_logs``.  Tables: logs_db/models/.  Queries: logs_db/queries.py."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from api.admin import require_admin
from api.errors import ErrorResponse
from api.middleware import ADMIN_PREFIX
from api.page_cursor import PageCursor
from api.state import ApiState, State
from api.time_window import time_window
from logs_db.queries import (
    LlmLogFilter,
    PageQuery,
    Position,
    SystemLogFilter,
    Window,
    llm_logs_page,
    system_logs_page,
)

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

router = APIRouter(
    prefix=f"{ADMIN_PREFIX}/logs",
    tags=["logs"],
    dependencies=[Depends(require_admin)],
    responses={status: {"model": ErrorResponse} for status in (401, 422, 503)},
)


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("no text in the database contains NUL")
    return text


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
Text = Annotated[str, Field(max_length=255), AfterValidator(_without_nul)]


class PageParameters(BaseModel):
    """What every page can be asked."""

    # A misspelt filter is refused: silently left out, it would show rows that nobody asked for.
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = Field(None, description="From this time on; 24 hours before the end unless given.")
    until: datetime | None = Field(None, description="Before this time; now unless given. At most 31 days after since.")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Most rows of a page.")
    cursor: str | None = Field(None, description="next_cursor of the page before, with the same filters.")
    error_type: Text | None = Field(None, description="Rows with this error type.")
    errors_only: bool = Field(default=False, description="Only rows with an error type.")
    request_id: Text | None = Field(None, description="Rows of this request.")

    def identity(self, table: str) -> str:
        """What a cursor is bound to: the table, and all parameters but the place and size of the page."""
        return f"{table} {self.model_dump_json(exclude={'cursor', 'limit'})}"


class SystemLogParameters(PageParameters):
    """Filters of system logs."""

    level: list[Level] = Field(default_factory=list, description="Rows of this level; may be given several times.")
    component: Text | None = Field(None, description="Rows of this component.")

    def query(self, window: Window, limit: int, after: Position | None) -> PageQuery:
        """The query for *limit* rows of *window* beyond *after*."""
        filters = SystemLogFilter(self.level, self.component, self.error_type, self.errors_only, self.request_id)
        return system_logs_page(filters, window, limit=limit, after=after)


class LlmLogParameters(PageParameters):
    """Filters of LLM logs."""

    provider: Text | None = Field(None, description="Rows of this provider.")
    model: Text | None = Field(None, description="Rows of the model that was asked for.")
    status: Text | None = Field(None, description="Rows of this status, for example success.")

    def query(self, window: Window, limit: int, after: Position | None) -> PageQuery:
        """The query for *limit* rows of *window* beyond *after*."""
        filters = LlmLogFilter(
            self.provider, self.model, self.status, self.error_type, self.errors_only, self.request_id
        )
        return llm_logs_page(filters, window, limit=limit, after=after)


class SystemLogResponse(BaseModel):
    """One row of ``system_logs``."""

    id: UUID
    created_at: datetime
    level: str
    component: str
    message: str
    error_type: str | None
    error_message: str | None
    stack_trace: str | None
    user_id: UUID | None
    company_id: UUID | None
    request_id: str | None
    extra_data: JsonValue
    trace_id: str | None
    span_id: str | None
    service: str | None
    host: str | None


class LlmLogResponse(BaseModel):
    """One row of ``llm_logs``."""

    id: UUID
    created_at: datetime
    provider: str
    model: str
    operation: str | None
    prompt: str | None
    response: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_usd: Annotated[Decimal, Field(allow_inf_nan=True)] | None
    latency_ms: int | None
    status: str
    error_type: str | None
    error_message: str | None
    user_id: UUID | None
    company_id: UUID | None
    request_id: str | None
    extra_data: JsonValue
    trace_id: str | None
    span_id: str | None
    service: str | None
    host: str | None
    session_id: str | None
    response_model: str | None
    cached_prompt_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    time_to_first_token_ms: int | None
    finish_reason: str | None
    streamed: bool | None


class LogPage(BaseModel):
    """What all pages have."""

    # A row that cannot be shown is an error in the log, and logs show no rows.
    model_config = ConfigDict(hide_input_in_errors=True)

    next_cursor: str | None = Field(description="Asks for the next page; null on the last one.")
    since: datetime = Field(description="Begin of the window, included.")
    until: datetime = Field(description="End of the window, excluded.")


class SystemLogPage(LogPage):
    """System logs, newest first."""

    items: list[SystemLogResponse]


class LlmLogPage(LogPage):
    """LLM logs, newest first."""

    items: list[LlmLogResponse]


@router.get("/system")
async def system_logs(state: State, parameters: Annotated[SystemLogParameters, Query()]) -> SystemLogPage:
    """One page of system logs, newest first, within a window of at most 31 days."""
    return SystemLogPage.model_validate(await _page(state, parameters, "system_logs", parameters.query))


@router.get("/llm")
async def llm_logs(state: State, parameters: Annotated[LlmLogParameters, Query()]) -> LlmLogPage:
    """One page of calls of language models, newest first, within a window of at most 31 days."""
    return LlmLogPage.model_validate(await _page(state, parameters, "llm_logs", parameters.query))


async def _page(
    state: ApiState,
    parameters: PageParameters,
    table: str,
    query: Callable[[Window, int, Position | None], PageQuery],
) -> dict[str, Any]:
    """The fields of a page, as far as they are the same for all tables."""
    identity = parameters.identity(table)
    window, after = _place(state, parameters, identity)
    # One row more than asked for tells whether there is another page.
    found = await state.reader.read(query(window, parameters.limit + 1, after), parameters.limit)
    next_cursor = None
    if found.has_more:
        last = Position(found.rows[-1]["created_at"], found.rows[-1]["id"])
        next_cursor = state.cursors.encode(PageCursor(window, last), identity)
    return {"items": found.rows, "next_cursor": next_cursor, "since": window.since, "until": window.until}


def _place(state: ApiState, parameters: PageParameters, identity: str) -> tuple[Window, Position | None]:
    if parameters.cursor is None:
        return time_window(parameters.since, parameters.until, datetime.now(UTC)), None
    cursor = state.cursors.decode(parameters.cursor, identity)
    return cursor.window, cursor.after
