"""``headhunter demo``: what ``headhunter up --demo`` starts; not for people."""

import os
from pathlib import Path
from typing import Annotated

import typer

from headhunter.console import set_up_logging
from headhunter.stack.demo import run_demo
from headhunter.stack.tally import TALLY_VARIABLE

_NAMES = ("DATABASE_URL", "LOGS_DATABASE_URL", "API_URL", "ADMIN_TOKEN")


def demo(
    speed: Annotated[float, typer.Option(min=0.001, help="How many times the recorded pace.")] = 1.0,
    postgres_log: Annotated[Path | None, typer.Option(help="PostgreSQL's jsonlog to send.")] = None,
) -> None:
    """Send real events until SIGTERM; the environment is the one that `headhunter up --demo` gives."""
    set_up_logging()
    urls = {name: os.environ[name] for name in _NAMES}
    run_demo(urls, Path(os.environ[TALLY_VARIABLE]), speed, postgres_log)
