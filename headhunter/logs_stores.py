"""The logs database and its queue, as the environment names them, for commands that are run by hand."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import typer

from headhunter.faults import WRONG_USAGE
from log_events.event_queue import EventQueue
from log_events.redis_client import redis_client
from logs_db.environment import ENVIRONMENT
from migrator.urls import checked_postgres_url


def logs_queue() -> EventQueue:
    """
    The queue at REDIS_URL.

    Raises:
        typer.Exit: The variable is not set; that has been said.
    """
    url = os.environ.get("REDIS_URL")
    if not url:
        typer.echo("REDIS_URL is not set; `make up` writes it to .headhunter/stack.env.", err=True)
        raise typer.Exit(WRONG_USAGE)
    return EventQueue(redis_client(url, connect_timeout_seconds=2, answer_timeout_seconds=5))


@contextmanager
def logs_connection() -> Iterator[psycopg.Connection[Any]]:
    """
    A connection to the logs database, in autocommit.

    Raises:
        typer.Exit: The variable is not set or no URL of PostgreSQL; that has been said.
    """
    url = url_of(ENVIRONMENT.url_variables)
    with psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="headhunter-logs") as connection:
        yield connection


def url_of(variables: Sequence[str]) -> str:
    """
    What the first of *variables* holds that is set, LOGS_DATABASE_URL being one of them.

    Raises:
        typer.Exit: None is set, or it holds no URL of PostgreSQL; that has been said.
    """
    variable = next((name for name in variables if os.environ.get(name)), None)
    if variable is None:
        typer.echo("LOGS_DATABASE_URL is not set; `make up` writes it to .headhunter/stack.env.", err=True)
        raise typer.Exit(WRONG_USAGE)
    try:
        return checked_postgres_url(os.environ[variable])
    except ValueError as exc:
        typer.echo(f"{variable} {exc}", err=True)
        raise typer.Exit(WRONG_USAGE) from None
