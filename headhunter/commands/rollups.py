"""``headhunter logs rollups``: whether the sums of the log tables are what their rows come to."""

from dataclasses import asdict, astuple
from datetime import UTC, datetime, timedelta

import typer

from headhunter.commands.databases import AsJson, print_json
from headhunter.commands.log_reading import Since, Until
from headhunter.logs_stores import logs_connection
from headhunter.output import print_table
from logs_db.queries import Window
from logs_db.queries.latencies import PERCENTS, latency_buckets, percentiles_by_model
from logs_db.queries.sums import whole_steps
from logs_db.rollup_check import differences

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The sums that are kept of the log tables.")

HOUR = timedelta(hours=1)


@app.command("check")
def check_sums(since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Count the rows of whole hours again, the last 24 unless given, and exit 1 where a sum is another."""
    window = _whole_hours(since, until)
    with logs_connection() as connection:
        found = differences(connection, window.since, window.until)
    if as_json:
        print_json(asdict(window) | {"differences": [asdict(difference) for difference in found]})
    elif found:
        print_table(("table", "from", "of", "rows", "sums"), map(astuple, found))
    else:
        typer.echo(f"All sums from {window.since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M} UTC are right.")
    if found:
        typer.echo(
            "Sums are not what the rows come to. Days that are not in rollup_days yet lack what older workers and "
            "clients wrote; the workers count them, one each minute. Elsewhere somebody changed rows by hand: delete "
            "the day from rollup_days, and it is counted again.",
            err=True,
        )
        raise typer.Exit(1)


@app.command("latencies")
def show_latencies(since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Show within how many ms calls of each model were answered, 5 % too many at most; of whole hours, the last 24."""
    window = _whole_hours(since, until)
    query = latency_buckets(window)
    with logs_connection() as connection:
        found = percentiles_by_model(connection.execute(query.statement, query.parameters))
    titles = ("provider", "model", *(f"p{percent}_ms" for percent in PERCENTS))
    lines = [(*key, *percentiles) for key, percentiles in found.items()]
    if as_json:
        print_json(asdict(window) | {"models": [dict(zip(titles, line, strict=True)) for line in lines]})
    else:
        print_table(titles, lines)


def _whole_hours(since: datetime | None, until: datetime | None) -> Window:
    end = until or datetime.now(UTC)
    window = whole_steps(Window(since or end - timedelta(days=1), end), HOUR)
    if window.since >= window.until:
        raise typer.BadParameter("--since must lie before --until")
    return window
