"""Log events as lines: coloured on a terminal, JSON for programs; what is in an event is never a command to either."""

import json
from datetime import UTC
from typing import Final

from rich.console import Console
from rich.text import Text

from api.log_story import LogEvent
from headhunter.output import print_table, printable

_STYLES: Final = {"DEBUG": "dim", "INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
_LONGEST: Final = 400
"""Characters of a message; `headhunter logs event` shows all."""


def print_events(events: list[LogEvent], *, as_json: bool, whole: bool = False) -> None:
    """Print *events* in their order, a line each; all fields for programs, and for readers of *whole* events."""
    console = Console(highlight=False, soft_wrap=True)
    for event in events:
        if as_json:
            print(json.dumps({"table": event.table} | event.row, default=str), flush=True)
        elif whole:
            print_table(("field", "value"), [(name, value) for name, value in event.row.items() if value is not None])
        else:
            console.print(_line(event))


def _line(event: LogEvent) -> Text:
    row = event.row
    moment = row["created_at"].astimezone(UTC)
    line = Text(f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} ", style="dim")
    if event.table == "llm_logs":
        line.append("LLM      ", style="cyan" if row["error_type"] is None else "red")
        said = f"{row['provider']} {row['model']} {row['status']}, {row['latency_ms']} ms, {row['cost_usd']} USD"
    else:
        line.append(f"{printable(row['level']):8} ", style=_STYLES.get(row["level"], ""))
        line.append(f"{printable(row['component'])}  ", style="bold")
        said = row["message"]
    line.append(printable(said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."))
    if row["error_type"] is not None:
        line.append(f"  {printable(row['error_type'])}", style="red")
    for name in ("request_id", "id"):
        if row[name] is not None:
            line.append(f"  {name}={printable(str(row[name]))}", style="dim")
            break
    return line
