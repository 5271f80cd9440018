"""Pages of ``system_logs`` and ``llm_logs``.  Tables: logs_db/models/.  Queries: logs_db/queries/."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from api.log_parameters import LlmLogParameters, PageParameters, SystemLogParameters
from api.log_reader import LogSession
from api.log_router import logs_router
from api.log_rows import LlmLogResponse, SystemLogResponse
from api.log_search import Found, Search
from api.page_cursor import PageCursor
from api.request_reader import Reader, RequestReader
from api.state import ApiState, State
from api.time_window import time_window
from logs_db.queries import LogFilter, Position, Window

router = logs_router()


class LogPage(BaseModel):
    """What all pages have."""

    # A row that cannot be shown is an error in the log, and logs show no rows.
    model_config = ConfigDict(hide_input_in_errors=True)

    next_cursor: str | None = Field(
        description="Asks for the next page; null on the last one. A page may be short or empty and have one: "
        "it ended at searched_since, because so much had been looked at."
    )
    since: datetime = Field(description="Begin of the window, included.")
    until: datetime = Field(description="End of the window, excluded.")
    searched_since: datetime = Field(
        description="How far back this page looked: every match between it and the page before is on this page."
    )


class SystemLogPage(LogPage):
    """System logs, newest first."""

    items: list[SystemLogResponse]


class LlmLogPage(LogPage):
    """LLM logs, newest first."""

    items: list[LlmLogResponse]


@router.get("/system")
async def system_logs(
    state: State, reader: Reader, parameters: Annotated[SystemLogParameters, Query()]
) -> SystemLogPage:
    """
    One page of system logs, newest first, within a window of at most 366 days.

    All filters given must hold. The newest days are read first, and the page ends as soon as it is full.
    """
    return SystemLogPage.model_validate(await _page(state, reader, parameters, parameters.filters()))


@router.get("/llm")
async def llm_logs(state: State, reader: Reader, parameters: Annotated[LlmLogParameters, Query()]) -> LlmLogPage:
    """
    One page of calls of language models, newest first, within a window of at most 366 days.

    Prompts and responses are read only where they are asked for.
    """
    return LlmLogPage.model_validate(
        await _page(state, reader, parameters, parameters.filters(), payloads=parameters.payloads)
    )


async def _page(
    state: ApiState,
    reader: RequestReader,
    parameters: PageParameters,
    filters: LogFilter,
    *,
    payloads: bool = False,
) -> dict[str, Any]:
    """The fields of a page, as far as they are the same for all tables."""
    identity = parameters.identity(filters.rows.__tablename__)
    window, after = _place(state, parameters, identity)

    async def search(session: LogSession) -> Found:
        return await Search(session, filters, window, after, parameters.limit, payloads).run()

    found = await reader.run(search)
    encode = partial(_next_cursor, state, window, identity)
    return {
        "items": found.rows,
        "next_cursor": found.next_place and encode(found.next_place),
        "since": window.since,
        "until": window.until,
        "searched_since": found.searched_since,
    }


def _next_cursor(state: ApiState, window: Window, identity: str, place: Position) -> str:
    return state.cursors.encode(PageCursor(window, place), identity)


def _place(state: ApiState, parameters: PageParameters, identity: str) -> tuple[Window, Position | None]:
    if parameters.cursor is None:
        return time_window(parameters.since, parameters.until, datetime.now(UTC)), None
    cursor = state.cursors.decode(parameters.cursor, identity)
    return cursor.window, cursor.after
