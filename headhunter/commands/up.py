"""``headhunter up``."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="Send real events: recorded LLM calls and our own logs.")
    ] = False,
    speed: Annotated[float, typer.Option(min=0.001, help="Play the recorded calls so many times as fast.")] = 1.0,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API; a free one by default.")] = None,
    folder: Annotated[Path, typer.Option(help="Where data, logs and stack.env are kept.")] = Path(".headhunter"),
) -> None:
    """
    Start the whole system on this machine: PostgreSQL, Valkey, worker and API, both databases at their heads.

    DATABASE_URL, LOGS_DATABASE_URL and REDIS_URL, each where it is set, name servers to use instead. When all is ready,
    stack.env in the folder holds the URLs and the admin token. Ctrl-C stops everything; the data are kept.
    """
    from headhunter.stack.options import StackOptions  # noqa: PLC0415  (wrong usage is told before the rest is loaded)
    from headhunter.stack.run import run_stack  # noqa: PLC0415

    sys.exit(run_stack(StackOptions(folder, port=port, demo=demo, speed=speed)))
