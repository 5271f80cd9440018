"""The two databases, as the commands of ``headhunter db`` take them."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from migrator.environment import Environment


class Database(StrEnum):
    """The databases."""

    MAIN = "main"
    LOGS = "logs"


Which = Annotated[Database, typer.Argument(metavar="main|logs", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def environment_of(database: Database) -> Environment:
    """Return the migrations of *database*; the other one's code is not imported."""
    if database is Database.MAIN:
        from main_db.environment import ENVIRONMENT  # noqa: PLC0415 - one database knows nothing of the other

        return ENVIRONMENT
    from logs_db.environment import ENVIRONMENT as LOGS_ENVIRONMENT  # noqa: PLC0415 - likewise

    return LOGS_ENVIRONMENT


def print_json(value: object) -> None:
    """Print *value*, for programs."""
    typer.echo(json.dumps(value, default=str, ensure_ascii=False))
