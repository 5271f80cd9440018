"""The logs database and its queue, as the environment names them, for commands that are run by hand."""

import os
from collections.abc import Iterator
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
    url = ENVIRONMENT.url_from_variables()
    if url is None:
        typer.echo("LOGS_DATABASE_URL is not set; `make up` writes it to .headhunter/stack.env.", err=True)
        raise typer.Exit(WRONG_USAGE)
    try:
        checked = checked_postgres_url(url)
    except ValueError as exc:
        typer.echo(f"LOGS_DATABASE_URL {exc}", err=True)
        raise typer.Exit(WRONG_USAGE) from None
    with psycopg.connect(checked, autocommit=True, connect_timeout=5, application_name="headhunter-logs") as connection:
        yield connection
