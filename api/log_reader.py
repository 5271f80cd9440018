"""Reads pages of logs over a small pool: read-only, in UTC, and given up when the database is silent."""

import selectors
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from api.bounded_connection import BoundedAsyncConnection
from api.json_column import loads
from logs_db.queries import PageQuery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

STATEMENT_MS: Final = 5_000
"""What the server may spend on one page."""
READ_SECONDS: Final = 6.0
"""What one page may take in all; a server that still says nothing is given up."""
CONNECT_SECONDS: Final = 2.0
"""What a request waits for a connection of the pool."""
POOL_CONNECTIONS: Final = 8
"""Pages read at the same time; more wait."""
PAGE_MAX_BYTES: Final = 8 * 1024 * 1024
"""A page ends early when its rows have reached this size, as text of the database: a row may hold several MiB."""

_BEGIN = f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL TimeZone = 'UTC'"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one page, newest first, and whether the query has more."""

    rows: list[dict[str, Any]]
    has_more: bool


class LogReader:
    """Pages of the logs database.  Nothing is connected before the first read."""

    def __init__(self, url: SecretStr) -> None:
        self._pool = AsyncConnectionPool(
            url.get_secret_value(),
            connection_class=BoundedAsyncConnection,
            kwargs={"row_factory": dict_row, "prepare_threshold": None, "application_name": "headhunter-api"},
            min_size=0,
            max_size=POOL_CONNECTIONS,
            max_idle=60.0,
            timeout=CONNECT_SECONDS,
            configure=_configure,
            check=_refuse_stale,
            open=False,
            name="logs",
        )

    async def open(self) -> None:
        """Make ready; the database need not be there yet."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def read(self, query: PageQuery, limit: int) -> Rows:
        """
        At most *limit* rows of *query*, which asks for one more to learn whether there is one.

        Raises:
            psycopg.Error: The database is away, silent, or refused the query.
        """
        async with self._pool.connection() as connection:
            connection.deadline = time.monotonic() + READ_SECONDS
            await connection.execute(_BEGIN)
            return await _first_rows(connection, query, limit)


async def _first_rows(connection: BoundedAsyncConnection, query: PageQuery, limit: int) -> Rows:
    rows: list[dict[str, Any]] = []
    page_bytes = 0
    cursor = connection.cursor()
    # Row by row, so that a page of large rows is never in memory beyond its limit.
    stream = cast("AsyncGenerator[dict[str, Any]]", cursor.stream(query.statement, query.parameters))
    # Closed here, not by the garbage collector: until then it holds the connection.
    async with aclosing(stream):
        async for row in stream:
            if len(rows) == limit or page_bytes >= PAGE_MAX_BYTES:
                return Rows(rows, has_more=True)
            rows.append(row)
            page_bytes += _size_bytes(cursor.pgresult)
    return Rows(rows, has_more=False)


def _size_bytes(result: psycopg.pq.abc.PGresult | None) -> int:
    """Size of a result of one row, as it came over the wire."""
    return 0 if result is None else sum(len(result.get_value(0, column) or b"") for column in range(result.nfields))


async def _configure(connection: BoundedAsyncConnection) -> None:
    set_json_loads(loads, connection)


async def _refuse_stale(connection: BoundedAsyncConnection) -> None:
    """Refuse an idle connection to a server that has gone: only then is there something to read on it."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.pgconn.socket, selectors.EVENT_READ)
        if selector.select(0):
            # Or the pool would take it back and give it out again.
            await connection.close()
            raise psycopg.OperationalError("the server closed this connection while it was idle")
