"""``headhunter logs``: what an operator asks of the logs database by hand."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple
from typing import Annotated, Any
from uuid import UUID

import psycopg
import typer

from api.ledger_balance import read_balance
from headhunter.output import print_table
from log_events.event_queue import EventQueue
from log_events.redaction import redacted
from log_events.redis_client import redis_client
from logs_db import dead_letters
from logs_db.dead_letters import DeadLetterSummary, StoredDeadLetter
from logs_db.environment import ENVIRONMENT
from migrator.urls import checked_postgres_url

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look into the logs database.")
letters = typer.Typer(no_args_is_help=True, add_completion=False, help="The events that could not become rows.")
app.add_typer(letters, name="dead-letters")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("ledger")
def show_ledger(as_json: AsJson = False) -> None:
    """Show by hour and kind what was accepted and what became of it; exit 1 where something is missing."""
    with _connected() as connection:
        balance = read_balance(_queue(), connection)
    if as_json:
        lines = [asdict(line) | {"imbalance": line.imbalance} for line in balance.lines]
        print(json.dumps({"imbalance": balance.imbalance, "lines": lines}, default=str))
    else:
        titles = ("hour of acceptance", "kind", "accepted", "waiting", "written", "deduplicated", "dead", "imbalance")
        print_table(titles, [(*astuple(line), line.imbalance) for line in balance.lines])
    if balance.imbalance and not balance.waiting:
        raise typer.Exit(1)


@letters.command("list")
def list_letters(
    reason: Annotated[str | None, typer.Option(help="Only those with this reason, for example not_json.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first, and count them by reason."""
    with _connected() as connection:
        page = dead_letters.read_page(connection, limit=limit, reason=reason)
        counts = dead_letters.read_counts(connection)
    if as_json:
        print(
            json.dumps(
                {"counts": [asdict(count) for count in counts], "letters": [asdict(one) for one in page]}, default=str
            )
        )
        return
    print_table(("reason", "letters", "newest"), [(count.reason, count.rows, count.newest_at) for count in counts])
    print_table(("id", "accepted", "reason", "detail", "bytes", "seen"), map(_line, page))


@letters.command("show")
def show_letter(letter_id: Annotated[UUID, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Show one dead letter with the bytes that came in, secrets taken out, unprintable bytes escaped."""
    with _connected() as connection:
        letter = dead_letters.read_one(connection, letter_id)
    if letter is None:
        typer.echo(
            f"There is no dead letter {letter_id}; `headhunter logs dead-letters list` shows which there are.", err=True
        )
        raise typer.Exit(1)
    shown = _shown(letter)
    if as_json:
        print(json.dumps(shown, default=str))
        return
    print_table(("field", "value"), shown.items())


def _line(letter: DeadLetterSummary) -> tuple[Any, ...]:
    return letter.id, letter.created_at, letter.reason, letter.detail, letter.size_bytes, letter.seen_count


def _shown(letter: StoredDeadLetter) -> dict[str, Any]:
    return asdict(letter) | {"sha256": letter.sha256.hex(), "raw": escaped(letter.raw)}


def escaped(raw: bytes) -> str:
    """*raw* without secrets, as text that no terminal takes for a command: what is not printable stands as its code."""
    return redacted(raw.decode("latin-1")).encode("unicode_escape").decode("ascii")


def _queue() -> EventQueue:
    url = os.environ.get("REDIS_URL")
    if not url:
        typer.echo("REDIS_URL is not set; `make up` writes it to .headhunter/stack.env.", err=True)
        raise typer.Exit(2)
    return EventQueue(redis_client(url, connect_timeout_seconds=2, answer_timeout_seconds=5))


@contextmanager
def _connected() -> Iterator[psycopg.Connection[Any]]:
    url = ENVIRONMENT.url_from_variables()
    if url is None:
        typer.echo("LOGS_DATABASE_URL is not set; `make up` writes it to .headhunter/stack.env.", err=True)
        raise typer.Exit(2)
    try:
        checked = checked_postgres_url(url)
    except ValueError as exc:
        typer.echo(f"LOGS_DATABASE_URL {exc}", err=True)
        raise typer.Exit(2) from None
    with psycopg.connect(checked, autocommit=True, connect_timeout=5, application_name="headhunter-logs") as connection:
        yield connection
