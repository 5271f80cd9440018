"""A request's whole story, and one event by its id alone.  Queries: logs_db/queries/story.py."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Self
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.errors import ErrorResponse
from api.log_parameters import Text
from api.log_router import logs_router
from api.log_rows import LlmLogResponse, SystemLogResponse
from api.log_story import LONGEST_STORY, STORY_SPAN, TRACE_SPAN, LogEvent, find_event, read_story
from api.request_reader import Reader
from api.time_window import time_window

router = logs_router()


class StoryParameters(BaseModel):
    """Whose story, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request_id: Text | None = Field(None, description="All events of this request.")
    trace_id: Text | None = Field(None, description="All events of this W3C trace.")
    since: datetime | None = Field(
        None, description="From this time on; 30 days before the end unless given, 1 day of a trace."
    )
    until: datetime | None = Field(None, description="Before this time; now unless given. At most 31 days after since.")
    limit: int = Field(500, ge=1, le=2000, description="Most events of each table, the newest; of each, 4 MiB.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.request_id is None) == (self.trace_id is None):
            raise ValueError("give either request_id or trace_id")
        return self


class EventParameters(BaseModel):
    """Where to look for an event whose id holds no time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    created_at: datetime | None = Field(
        None, description="When it was logged; needed only for an id that is no UUIDv7, which holds its time."
    )


class StoryEvent(BaseModel):
    """One event of a story: of one of the tables."""

    model_config = ConfigDict(hide_input_in_errors=True)

    system_log: SystemLogResponse | None = None
    llm_log: LlmLogResponse | None = None


class Story(BaseModel):
    """The events of one request or trace, the oldest first."""

    since: datetime = Field(description="Begin of the time that was looked through, included.")
    until: datetime = Field(description="End of it, excluded.")
    is_complete: bool = Field(
        description="Whether all are here; if not, all that are older than the first one shown are left out: ask again "
        "with its time as until."
    )
    events: list[StoryEvent] = Field(description="Without prompts and responses.")


@router.get("/story")
async def request_story(reader: Reader, parameters: Annotated[StoryParameters, Query()]) -> Story:
    """Tell all events of one request or trace, of both tables, in the order of time."""
    span = STORY_SPAN if parameters.trace_id is None else TRACE_SPAN
    window = time_window(parameters.since, parameters.until, datetime.now(UTC), default=span, longest=LONGEST_STORY)
    told = await reader.run(
        partial(
            read_story,
            window=window,
            request_id=parameters.request_id,
            trace_id=parameters.trace_id,
            limit=parameters.limit,
        )
    )
    events = list(map(_shown, told.events))
    return Story(since=window.since, until=window.until, is_complete=told.is_complete, events=events)


@router.get("/events/{event_id}", responses={404: {"model": ErrorResponse}})
async def one_event(reader: Reader, event_id: UUID, parameters: Annotated[EventParameters, Query()]) -> StoryEvent:
    """
    Tell one event by its id alone, with prompt and response.

    It is looked for around the time inside the id, a UUIDv7, ever wider up to a day: producers take both at once.
    """
    find = partial(find_event, event_id=event_id, created_at=parameters.created_at)
    return _shown(await reader.run(find))


def _shown(event: LogEvent) -> StoryEvent:
    return StoryEvent.model_validate({event.table.removesuffix("s"): event.row})
