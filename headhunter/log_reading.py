"""Reads logs for commands: the database that is meant for reading, where one is named, and the API's own ways."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout
from pydantic import SecretStr

from api.log_reader import LogReader
from headhunter.logs_stores import url_of

Result = TypeVar("Result")
VARIABLES = ("LOGS_READ_DATABASE_URL", "LOGS_DATABASE_URL")
"""Where logs are read from: the first that is set."""
CONNECT_SECONDS = 2


def run_reading(work: Callable[[LogReader], Awaitable[Result]]) -> Result:
    """
    What *work* makes of a reader of the logs database.

    Raises:
        typer.Exit: No URL is set, or it is none of PostgreSQL; that has been said.
        psycopg.Error: The database is away, silent, or refused a query.
    """
    return asyncio.run(_run(SecretStr(url_of(VARIABLES)), work))


async def _run(url: SecretStr, work: Callable[[LogReader], Awaitable[Result]]) -> Result:
    reader = LogReader(url)
    await reader.open()
    try:
        return await work(reader)
    except PoolTimeout:
        # The pool tells only that it waited in vain, not why.
        async with await AsyncConnection.connect(url.get_secret_value(), connect_timeout=CONNECT_SECONDS):
            raise
    finally:
        await reader.close()
