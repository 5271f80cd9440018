"""``headhunter logs``: what an operator asks of the logs database by hand."""

import json
from dataclasses import asdict, astuple

import typer

from api.ledger_balance import read_balance
from headhunter.commands import archive, dead_letters, log_reading, retention, rollups
from headhunter.commands.databases import AsJson
from headhunter.logs_stores import logs_connection, logs_queue
from headhunter.output import print_table

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look into the logs database.")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(retention.app, name="retention")
app.add_typer(rollups.app, name="rollups")
app.add_typer(archive.app, name="archive")
for name, command in log_reading.COMMANDS.items():
    app.command(name)(command)


@app.command("ledger")
def show_ledger(as_json: AsJson = False) -> None:
    """Show by hour and kind what was accepted and what became of it; exit 1 where something is missing."""
    with logs_connection() as connection:
        balance = read_balance(logs_queue(), connection)
    if as_json:
        told = {"imbalance": balance.imbalance, "lines": [asdict(line) for line in balance.lines]}
        print(json.dumps(told, default=str))
    else:
        titles = ("hour of acceptance", "kind", "accepted", "waiting", "written", "deduplicated", "dead", "imbalance")
        print_table(titles, map(astuple, balance.lines))
    if balance.imbalance:
        raise typer.Exit(1)
