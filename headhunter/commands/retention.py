"""``headhunter logs retention``: what is dropped when, who agreed to it, and one pass by hand."""

import getpass
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import psycopg
import typer

from headhunter.commands.databases import AsJson, print_json
from headhunter.logs_stores import logs_connection
from headhunter.output import print_table
from logs_db import retention
from logs_db.archive.archiving import hook
from logs_db.retention import RetentionReport, TablePlan
from logs_db.retention_plan import VARIABLES, Fate, Planned
from logs_db.retention_settings import RetentionSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="How long log rows are kept, and what goes when.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, show what would be done.")]
TITLES = ("partition", "bytes", "next pass", "goes at", "because")
SIZE = "SELECT pg_catalog.pg_total_relation_size(pg_catalog.to_regclass(%s))"


@app.command("plan")
def show_plan(as_json: AsJson = False) -> None:
    """Show each partition, what the next pass does with it, and why, by the settings of this shell's environment."""
    with logs_connection() as connection:
        _show(connection, _read_plan(connection, RetentionSettings()), as_json=as_json)


@app.command("confirm")
def confirm_plan(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: AsJson = False
) -> None:
    """Agree that rows which are older than retention itself go as they grow too old; asks after it has shown which."""
    kept = RetentionSettings().retention
    with logs_connection() as connection:
        plans = [plan for plan in retention.read_plan(connection, kept) if plan.days is not None]
        if not plans:
            typer.echo(f"Nothing is ever dropped: set {' or '.join(VARIABLES.values())} first.", err=True)
            raise typer.Exit(2)
        if not yes:
            _show(connection, plans, fates=(Fate.UNCONFIRMED,), as_json=False)
            typer.confirm(f"Drop these, and later {_promise(plans)}?", abort=True, err=True)
        by = f"{getpass.getuser()}@{socket.gethostname()}"
        agreed = {plan.table: retention.confirm(connection, plan.table, by) for plan in plans}
    if as_json:
        print_json({"consented_until": agreed, "consented_by": by})
    else:
        typer.echo(f"Agreed by {by}. The workers drop it in their next passes, within minutes: {_promise(plans)}.")


@app.command("run")
def run_pass(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Do one pass of retention now, as the workers do each minute; exit 1 where something that is due did not go."""
    settings = RetentionSettings()
    with logs_connection() as connection:
        if dry_run:
            plans = _read_plan(connection, settings)
            _show(connection, plans, fates=(Fate.DROPPED, Fate.THINNED, Fate.UNCONFIRMED), as_json=as_json)
            return
        before_drop = hook(connection, settings.log_archive_url)
        report = retention.run(connection, settings.retention, before_drop=before_drop)
    _tell(report, as_json=as_json)
    if report.obstacles:
        raise typer.Exit(1)


def _read_plan(connection: psycopg.Connection[Any], settings: RetentionSettings) -> list[TablePlan]:
    return retention.read_plan(connection, settings.retention, is_archived=settings.log_archive_url is not None)


def _show(
    connection: psycopg.Connection[Any], plans: Sequence[TablePlan], *, fates: Sequence[Fate] = (), as_json: bool
) -> None:
    lines = [line for plan in plans for line in _lines(connection, plan, fates or tuple(Fate))]
    if as_json:
        tables = [asdict(plan.state) | {"days": plan.days} for plan in plans]
        print_json({"tables": tables, "partitions": [dict(zip(TITLES, line, strict=True)) for line in lines]})
        return
    print_table(TITLES, lines)
    for plan in plans:
        since = f"; days before {plan.state.kept_since:%Y-%m-%d} were dropped" if plan.state.kept_since else ""
        typer.echo(f"{plan.table}: kept {_span(plan.days)}{since}.")


def _lines(connection: psycopg.Connection[Any], plan: TablePlan, fates: Sequence[Fate]) -> Iterator[tuple[Any, ...]]:
    for planned in plan.partitions:
        if planned.fate in fates:
            yield _line(connection, planned)


def _line(connection: psycopg.Connection[Any], planned: Planned) -> tuple[Any, ...]:
    partition = planned.partition
    row = connection.execute(SIZE, (f'public."{partition.name}"',)).fetchone()
    goes_at = None if planned.goes_at is None else f"{planned.goes_at:%Y-%m-%d}"
    return partition.name, row and row[0], planned.fate, goes_at, planned.why


def _tell(report: RetentionReport, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
    elif report.skipped:
        typer.echo("A worker is just at it, so all was left to it.")
    else:
        typer.echo(
            f"Dropped {len(report.dropped)} partitions, {report.freed_bytes} bytes; "
            f"deleted {report.thinned_rows} rows from partitions of many days."
        )
        for name in report.dropped:
            typer.echo(f"  {name}")
        for obstacle in report.obstacles:
            typer.echo(obstacle, err=True)


def _promise(plans: Sequence[TablePlan]) -> str:
    return ", ".join(f"all of {plan.table} that is older than {plan.days} days" for plan in plans)


def _span(days: int | None) -> str:
    return "for ever" if days is None else f"for {days} days"
