"""Reads logs for commands, in the API's own ways: from the replica while it is fresh enough, else from the primary."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout
from pydantic import SecretStr

from api.fresh_reader import FreshReader
from headhunter.logs_stores import url_of

Result = TypeVar("Result")
PRIMARY = ("LOGS_DATABASE_URL",)
REPLICA = ("LOGS_READ_DATABASE_URL",)
MAX_STALENESS_SECONDS = 10.0
"""How old what is read from the replica may be, as the API has it unless told otherwise."""
CONNECT_SECONDS = 2


def run_reading(work: Callable[[FreshReader], Awaitable[Result]]) -> Result:
    """
    What *work* makes of a reader of the logs database.

    Raises:
        typer.Exit: No URL is set, or it is none of PostgreSQL; that has been said.
        psycopg.Error: The database is away, silent, or refused a query.
    """
    primary = SecretStr(url_of(PRIMARY))
    replica = SecretStr(url_of(REPLICA)) if os.environ.get(REPLICA[0]) else None
    return asyncio.run(_run(primary, replica, work))


async def _run(
    primary: SecretStr, replica: SecretStr | None, work: Callable[[FreshReader], Awaitable[Result]]
) -> Result:
    try:
        async with FreshReader(primary, replica, MAX_STALENESS_SECONDS) as reader:
            return await work(reader)
    except PoolTimeout:
        # The pool tells only that it waited in vain, not why.
        async with await AsyncConnection.connect(primary.get_secret_value(), connect_timeout=CONNECT_SECONDS):
            raise
