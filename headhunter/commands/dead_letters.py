"""``headhunter logs dead-letters``: the events that could not become rows, looked at, sent back, let go."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from headhunter.commands.databases import AsJson
from headhunter.faults import TEMPORARY
from headhunter.letter_replay import Outgoing, SendReport, outgoing, send_all
from headhunter.logs_stores import logs_connection, logs_queue
from headhunter.moments import moment_option, span_option
from headhunter.output import print_table, printable
from log_events.event_queue import DEFAULT_MAX_BYTES, EventQueue
from log_events.redaction import redacted
from logs_db import dead_letter_purge, dead_letters
from logs_db.dead_letter_selection import Selection, Totals, read_totals, selected_ids
from logs_db.dead_letters import DeadLetterSummary, StoredDeadLetter
from logs_db.environment import ENVIRONMENT
from logs_db.retention_settings import RetentionSettings
from worker.acceptance import AcceptedPast
from worker.peers import running_heads

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The events that could not become rows.")


Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID...", help="These.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason, for example not_json.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=moment_option, metavar="TIME", help="Only those accepted since then: ISO 8601 (UTC), or 2h for ago."
    ),
]
Until = Annotated[
    datetime | None, typer.Option(parser=moment_option, metavar="TIME", help="Only those accepted before then.")
]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, show what would be done.")]


class QueueSettings(BaseSettings):
    """What the queue may hold, as producers and workers have it."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    logs_queue_max_bytes: int = Field(default=DEFAULT_MAX_BYTES, gt=0)


@app.command("list")
def list_letters(
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first, and count them by reason; which of them are rows by a replay."""
    with logs_connection() as connection:
        page = dead_letters.read_page(connection, limit=limit, reason=reason)
        counts = dead_letters.read_counts(connection)
    if as_json:
        _print_json({"counts": [asdict(count) for count in counts], "letters": [_told(asdict(one)) for one in page]})
        return
    print_table(
        ("reason", "letters", "replayed", "newest"),
        [(count.reason, count.rows, count.replayed_rows, count.newest_at) for count in counts],
    )
    print_table(("id", "accepted", "reason", "detail", "bytes", "seen", "replayed"), map(_line, page))


@app.command("show")
def show_letter(letter_id: Annotated[UUID, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Show one dead letter with the bytes that came in, secrets taken out, unprintable bytes escaped."""
    with logs_connection() as connection:
        letter = dead_letters.read_one(connection, letter_id)
    if letter is None:
        typer.echo(
            f"There is no dead letter {letter_id}; `headhunter logs dead-letters list` shows which there are.", err=True
        )
        raise typer.Exit(1)
    shown = _shown(letter)
    if as_json:
        _print_json(shown)
        return
    print_table(("field", "value"), shown.items())


@app.command("replay")
def replay_letters(
    ids: Ids = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    redate: Annotated[
        bool,
        typer.Option("--redate", help="Date what has an impossible time when it was accepted."),
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back through the queue, the oldest first; each becomes a row once at most, however often."""
    chosen = _selection(ids, reason, since, until, everything=everything)
    max_bytes = QueueSettings().logs_queue_max_bytes
    with logs_connection() as connection:
        letter_ids = list(ids) if ids else selected_ids(connection, chosen)
        letters = outgoing(connection, letter_ids, redates=redate)
        if dry_run:
            _show_plan(letters, as_json=as_json)
            return
        queue = logs_queue()
        _require_same_release(queue)
        report = send_all(queue, letters, max_bytes)
    _tell_sent(report, as_json=as_json)
    if report.queue_is_full:
        raise typer.Exit(TEMPORARY)
    if report.skipped:
        raise typer.Exit(1)


@app.command("purge")
def purge_letters(
    ids: Ids = None,
    reason: Reason = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option(parser=span_option, metavar="SPAN", help="Only those accepted so long ago, for example 7d."),
    ] = None,
    everything: Everything = False,
    unreplayed: Annotated[
        bool, typer.Option("--unreplayed", help="Also those that are no rows: their events are gone for good.")
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete dead letters that a replay made rows of, in batches; with --unreplayed the others too."""
    until = None if older_than is None else _ago(older_than)
    chosen = _selection(ids, reason, None, until, everything=everything, replayed=None if unreplayed else True)
    with logs_connection() as connection:
        totals = read_totals(connection, chosen)
        if not (dry_run or yes or not totals.letters):
            typer.confirm(f"Delete {_described(totals)}?", abort=True, err=True)
        done = totals if dry_run else dead_letter_purge.purge(connection, chosen)
        kept = 0 if unreplayed else read_totals(connection, replace(chosen, replayed=False)).letters
    if as_json:
        _print_json({"dry_run": dry_run} | asdict(done) | {"kept_unreplayed": kept})
        return
    typer.echo(f"{'Would delete' if dry_run else 'Deleted'} {_described(done)}.")
    if kept:
        typer.echo(f"{kept} that were never replayed are kept; --unreplayed deletes them too.")


def _ago(span: timedelta) -> datetime:
    try:
        return datetime.now(UTC) - span
    except OverflowError:
        raise typer.BadParameter("so long ago there was nothing.", param_hint="--older-than") from None


def _selection(
    ids: list[UUID] | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    everything: bool,
    replayed: bool | None = False,
) -> Selection:
    """What the command line chose; nothing chosen is not taken for all."""
    by_property = any(given is not None for given in (reason, since, until))
    if sum((bool(ids), by_property, everything)) != 1:
        raise typer.BadParameter("choose by ids, or by reason and time, or --all; one of the three ways.")
    return Selection(tuple(ids) if ids else None, reason, since, until, replayed)


def _require_same_release(queue: EventQueue) -> None:
    """Refuse while workers of another release run: an older one makes another dead letter of a replay."""
    others = running_heads(queue)() - {ENVIRONMENT.head}
    if others:
        typer.echo(
            f"Workers of another release are running (their head: {', '.join(sorted(others))}; this one's: "
            f"{ENVIRONMENT.head}). Nothing was sent; replay once all are of this release.",
            err=True,
        )
        raise typer.Exit(TEMPORARY)


def _show_plan(letters: Iterator[Outgoing], *, as_json: bool) -> None:
    past = AcceptedPast.by(RetentionSettings().retention)
    plan = [_planned(one, past) for one in letters]
    if as_json:
        _print_json({"dry_run": True, "letters": plan})
    else:
        titles = ("id", "accepted", "reason", "bytes", "events", "would become", "cannot be sent, because")
        print_table(titles, [line.values() for line in plan])


def _planned(one: Outgoing, past: AcceptedPast) -> dict[str, Any]:
    letter = one.letter
    return {
        "id": one.letter_id,
        "created_at": letter and letter.created_at,
        "reason": letter and letter.reason,
        "size_bytes": letter and letter.size_bytes,
        "events": len(one.replay.raws) if one.replay else 0,
        "outlook": one.outlook(past),
        "obstacle": one.obstacle,
    }


def _tell_sent(report: SendReport, *, as_json: bool) -> None:
    if as_json:
        _print_json(asdict(report))
        return
    for one in report.skipped:
        typer.echo(f"{one['id']} was not sent: {printable(one['obstacle'])}.", err=True)
    typer.echo(
        f"Sent {report.sent} dead letters with {report.events} events. `headhunter logs dead-letters list` shows "
        "them as replayed once a worker has made rows of them."
    )
    if report.queue_is_full:
        typer.echo("The queue is full, so the others were not sent; run the same again when it has room.", err=True)


def _described(totals: Totals) -> str:
    return (
        f"{totals.letters} dead letters with {totals.raw_bytes} bytes, "
        f"{totals.unreplayed} of them never replayed, whose events are then gone for good"
        if totals.unreplayed
        else f"{totals.letters} dead letters with {totals.raw_bytes} bytes"
    )


def _line(letter: DeadLetterSummary) -> tuple[Any, ...]:
    detail = redacted(letter.detail)
    return (
        letter.id,
        letter.created_at,
        letter.reason,
        detail,
        letter.size_bytes,
        letter.seen_count,
        letter.replayed_at,
    )


def _shown(letter: StoredDeadLetter) -> dict[str, Any]:
    return _told(asdict(letter)) | {"sha256": letter.sha256.hex(), "raw": escaped(letter.raw)}


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """*fields* without secrets in the texts."""
    return {name: redacted(value) if isinstance(value, str) else value for name, value in fields.items()}


def escaped(raw: bytes) -> str:
    """*raw* without secrets, as text that no terminal takes for a command: what is not printable stands as its code."""
    return redacted(raw.decode("latin-1")).encode("unicode_escape").decode("ascii")


def _print_json(value: object) -> None:
    """Print *value* in ASCII: what is not, JSON writes as its code."""
    typer.echo(json.dumps(value, default=str))
