"""``headhunter logs search|tail|story|event``: the logs as the API reads them, for who has the database's URL."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import psycopg
import typer
from pydantic import ValidationError

from api.fresh_reader import FreshReader
from api.log_parameters import LlmLogParameters, SystemLogParameters
from api.log_reader import LogSession
from api.log_search import Found, Search
from api.log_story import LONGEST_STORY, STORY_SPAN, TRACE_SPAN, LogEvent, find_event, read_story
from api.time_window import TimeWindowError, time_window
from headhunter.commands.databases import AsJson
from headhunter.faults import WRONG_USAGE
from headhunter.log_lines import print_events
from headhunter.log_reading import run_reading
from headhunter.moments import moment_option
from logs_db.queries import LogFilter, Position, Window
from logs_db.queries.story import EventNotFoundError, TimelessIdError

EVERY_SECONDS: Final = 1.0
OVERLAP: Final = timedelta(seconds=60)
"""How late an event may come in to be seen by one who follows."""
TAIL_MOST: Final = 500
FOLLOWED_PAGES: Final = 10
"""Pages of TAIL_MOST that are looked through for it each time; where there are more, that is said."""
STORY_EVENTS: Final = 2000


Since = Annotated[
    datetime | None,
    typer.Option(parser=moment_option, metavar="TIME", help="From then on: ISO 8601 (UTC), or 2h for two hours ago."),
]
Until = Annotated[
    datetime | None, typer.Option(parser=moment_option, metavar="TIME", help="Before then; now unless given.")
]
OfCalls = Annotated[bool, typer.Option("--llm", help="Calls of language models instead of system logs.")]
Level = Annotated[list[str] | None, typer.Option(help="Of this level; may be given several times.")]
Component = Annotated[list[str] | None, typer.Option(help="Of this component; may be given several times.")]
ErrorType = Annotated[str | None, typer.Option(help="With this error type.")]
ErrorsOnly = Annotated[bool, typer.Option("--errors", help="Only with an error type.")]
Words = Annotated[str | None, typer.Option(help="Whose message contains this, in any case.")]


def search_logs(
    since: Since = None,
    until: Until = None,
    of_calls: OfCalls = False,
    level: Level = None,
    component: Component = None,
    error_type: ErrorType = None,
    errors_only: ErrorsOnly = False,
    text: Words = None,
    request_id: Annotated[str | None, typer.Option("--request", help="Of this request.")] = None,
    trace_id: Annotated[str | None, typer.Option("--trace", help="Of this W3C trace.")] = None,
    user_id: Annotated[str | None, typer.Option("--user", help="Of this user.")] = None,
    company_id: Annotated[str | None, typer.Option("--company", help="Of this company.")] = None,
    provider: Annotated[str | None, typer.Option(help="Calls of this provider, with --llm.")] = None,
    model: Annotated[str | None, typer.Option(help="Calls of this model, with --llm.")] = None,
    status: Annotated[str | None, typer.Option(help="Calls that ended so, with --llm.")] = None,
    extra_contains: Annotated[str | None, typer.Option(help="Whose extra data contains this JSON object.")] = None,
    extra_path: Annotated[
        str | None, typer.Option(help="In whose extra data this SQL/JSON path finds something.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Search logs, the newest first; all conditions must hold.  Of the last 24 hours unless --since is given."""
    given: dict[str, Any] = {"error_type": error_type, "errors_only": errors_only, "request_id": request_id}
    given |= {"trace_id": trace_id, "user_id": user_id, "company_id": company_id}
    given |= {"extra_contains": extra_contains, "extra_path": extra_path, "level": level, "component": component}
    given |= {"text": text, "provider": provider, "model": model, "status": status}
    filters = _filters(of_calls, given)
    window = _window(since, until, timedelta(days=1))
    run_reading(partial(_print_pages, filters=filters, window=window, limit=limit, as_json=as_json))


def tail_logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=TAIL_MOST, help="How many to begin with.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes in, until interrupted.")
    ] = False,
    of_calls: OfCalls = False,
    level: Level = None,
    component: Component = None,
    error_type: ErrorType = None,
    errors_only: ErrorsOnly = False,
    text: Words = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest logs of the last 24 hours, the newest last, and with --follow those that come in."""
    given = {"level": level, "component": component, "error_type": error_type, "errors_only": errors_only, "text": text}
    filters = _filters(of_calls, given)
    try:
        run_reading(partial(_tail, filters=filters, lines=lines, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit from None


def tell_story(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Of a request, or of a trace with --trace.")],
    of_trace: Annotated[bool, typer.Option("--trace", help="The id is one of a W3C trace.")] = False,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Tell all events of a request or trace, of both tables, oldest first; of 30 days, of a trace 1, unless given."""
    if not request_id:
        raise typer.BadParameter("the id is empty")
    window = _window(since, until, TRACE_SPAN if of_trace else STORY_SPAN, longest=LONGEST_STORY)
    read = partial(
        read_story,
        window=window,
        request_id=None if of_trace else request_id,
        trace_id=request_id if of_trace else None,
        limit=STORY_EVENTS,
    )
    told = run_reading(lambda reader: reader.run(read))
    print_events(told.events, as_json=as_json)
    if not told.is_complete:
        typer.echo("These are only the newest; --until with the time of the first shows older ones.", err=True)
    if not told.events:
        typer.echo(f"There is no event of {request_id!r} in this time; --since looks further back.", err=True)
        raise typer.Exit(1)


def show_event(
    event_id: Annotated[UUID, typer.Argument(metavar="ID")],
    created_at: Annotated[
        datetime | None,
        typer.Option(
            parser=moment_option, metavar="TIME", help="When it was logged; only for an id that is no UUIDv7."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one event whole, with prompt and response, by its id alone."""
    find = partial(find_event, event_id=event_id, created_at=created_at)
    try:
        event = run_reading(lambda reader: reader.run(find))
    except TimelessIdError as exc:
        raise typer.BadParameter(str(exc)) from None
    except EventNotFoundError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
    print_events([event], as_json=as_json, whole=True)


async def _print_pages(reader: FreshReader, filters: LogFilter, window: Window, limit: int, *, as_json: bool) -> None:
    shown, place = 0, None
    while True:
        found = await _page(reader, filters, window, place, min(limit - shown, TAIL_MOST))
        print_events(_events(filters, found.rows), as_json=as_json)
        shown, place = shown + len(found.rows), found.next_place
        if place is None or shown == limit:
            return


async def _tail(reader: FreshReader, filters: LogFilter, lines: int, *, follow: bool, as_json: bool) -> None:
    # Before the lines are read, so that what comes in between is shown with them or by the next look.
    look = await _look(reader, filters, set()) if follow else Look()
    found = await _page(reader, filters, _last(timedelta(days=1)), None, lines)
    print_events(_events(filters, found.rows[::-1]), as_json=as_json)
    seen = look.ids | {row["id"] for row in found.rows}
    is_told = False
    while follow:
        await asyncio.sleep(EVERY_SECONDS)
        look = await _look(reader, filters, seen)
        print_events(_events(filters, look.new[::-1]), as_json=as_json)
        seen = look.ids
        if not (look.is_whole or is_told):
            most, seconds = FOLLOWED_PAGES * TAIL_MOST, int(OVERLAP.total_seconds())
            typer.echo(
                f"More than {most} events in {seconds} s: of those that come in late, some are left out.", err=True
            )
        is_told = not look.is_whole


@dataclass(slots=True)
class Look:
    """What lies in the overlap: the rows that were not seen before, newest first, and the ids of all."""

    new: list[dict[str, Any]] = field(default_factory=list)
    ids: set[UUID] = field(default_factory=set)
    is_whole: bool = True


async def _look(reader: FreshReader, filters: LogFilter, seen: set[UUID]) -> Look:
    look, window, place = Look(), _last(OVERLAP), None
    for _ in range(FOLLOWED_PAGES):
        found = await _page(reader, filters, window, place, TAIL_MOST)
        look.new += [row for row in found.rows if row["id"] not in seen]
        look.ids |= {row["id"] for row in found.rows}
        place = found.next_place
        look.is_whole = place is None
        if look.is_whole:
            break
    return look


def _last(span: timedelta) -> Window:
    now = datetime.now(UTC)
    return time_window(now - span, None, now)


async def _page(reader: FreshReader, filters: LogFilter, window: Window, after: Position | None, limit: int) -> Found:
    async def search(session: LogSession) -> Found:
        return await Search(session, filters, window, after, limit).run()

    try:
        return await reader.run(search)
    except (psycopg.errors.SyntaxError, psycopg.DataError) as exc:
        typer.echo(f"The database cannot take this: {exc.diag.message_primary}.", err=True)
        raise typer.Exit(WRONG_USAGE) from None


def _events(filters: LogFilter, rows: list[dict[str, Any]]) -> list[LogEvent]:
    return [LogEvent(filters.rows.__tablename__, row) for row in rows]


def _filters(of_calls: bool, given: dict[str, Any]) -> LogFilter:
    """What the options say, refused as the API would."""
    # An empty text is what got lost on its way, and must be refused; None, False and no values are what was not given.
    named = {name: value for name, value in given.items() if value or value == ""}
    try:
        return (LlmLogParameters if of_calls else SystemLogParameters).model_validate(named).filters()
    except ValidationError as exc:
        faults = [f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}" for fault in exc.errors()]
        raise typer.BadParameter("; ".join(faults)) from None


def _window(since: datetime | None, until: datetime | None, default: timedelta, **longest: timedelta) -> Window:
    try:
        return time_window(since, until, datetime.now(UTC), default=default, **longest)
    except TimeWindowError as exc:
        raise typer.BadParameter(str(exc)) from None


COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "search": search_logs,
    "tail": tail_logs,
    "story": tell_story,
    "event": show_event,
}
