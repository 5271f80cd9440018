"""
Reads logs over a small pool: read-only, in UTC, and given up when the database is silent.

No reader can starve the writers: so many connections and no more, one process of the server for each, bounded work
memory, a time-out a statement, a deadline a request, and a queue whose end is an error instead of a longer wait.
"""

import selectors
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from pydantic import SecretStr

from api.bounded_connection import BoundedAsyncConnection
from api.json_column import loads
from logs_db.queries import PageQuery
from logs_db.replication import POSITION, ServerPosition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

STATEMENT_MS: Final = 5_000
"""What the server may spend on one statement."""
READ_SECONDS: Final = 8.0
"""What one request may take in all; a server that still says nothing is given up."""
CONNECT_SECONDS: Final = 2.0
"""What a request waits for a connection of the pool."""
POOL_CONNECTIONS: Final = 8
"""Requests that read at the same time; more wait."""
REPLICA_SECONDS: Final = 1.0
"""What a replica may take to begin: after so long the primary is asked instead."""
WAITING_REQUESTS: Final = 64
"""How many may wait; the next one is told to come again."""
PAGE_MAX_BYTES: Final = 8 * 1024 * 1024
"""A page ends early when its rows have reached this size, as text of the database: a row may hold several MiB."""

# With parallel workers, or a sort of much memory, a few readers would be many.
_BEGIN = (
    f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL TimeZone = 'UTC';"
    " SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; SET LOCAL work_mem = '16MB'"
)
# Replay may hold a lock for as long as it is paused, and the primary does not.
_BEGIN_AT_REPLICA = "; SET LOCAL lock_timeout = 500"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one page, newest first, and whether the query has more."""

    rows: list[dict[str, Any]]
    has_more: bool


class LogSession:
    """
    What one request reads, over one connection and in one transaction.

    Rows of all its pages together end at `PAGE_MAX_BYTES`, but parts, which have a bound of their own.
    """

    def __init__(self, connection: BoundedAsyncConnection) -> None:
        self._connection = connection
        self._page_bytes = 0

    async def part(self, query: PageQuery, limit: int, max_bytes: int) -> Rows:
        """
        A page with a bound of its own, after which the session can go on though the page ended early.

        Raises:
            psycopg.Error: The database is away, silent, or refused the query.
        """
        await self._connection.execute("SAVEPOINT part")
        found = await self._page(query, limit, self._page_bytes + max_bytes)
        if self._is_broken:
            await self._connection.execute("ROLLBACK TO SAVEPOINT part")
        return found

    async def page(self, query: PageQuery, limit: int) -> Rows:
        """
        At most *limit* rows of *query*, which asks for one more to learn whether there is one.

        Where it ends early it breaks the session's transaction: it is the last one to read then.

        Raises:
            psycopg.Error: The database is away, silent, or refused the query.
        """
        return await self._page(query, limit, PAGE_MAX_BYTES)

    async def _page(self, query: PageQuery, limit: int, most_bytes: int) -> Rows:
        rows: list[dict[str, Any]] = []
        cursor = self._connection.cursor()
        # Row by row, so that a page of large rows is never in memory beyond its limit.
        stream = cast("AsyncGenerator[dict[str, Any]]", cursor.stream(query.statement, query.parameters))
        # Closed here, not by the garbage collector: until then it holds the connection.  What is left is cancelled.
        async with aclosing(stream):
            async for row in stream:
                if len(rows) == limit or self._page_bytes >= most_bytes:
                    return Rows(rows, has_more=True)
                rows.append(row)
                self._page_bytes += _size_bytes(cursor.pgresult)
        return Rows(rows, has_more=False)

    async def all(self, query: PageQuery) -> list[dict[str, Any]]:
        """
        Every row of *query*, which must bound them itself.

        Raises:
            psycopg.Error: The database is away, silent, or refused the query.
        """
        cursor = await self._connection.execute(query.statement, query.parameters)
        return await cursor.fetchall()

    @property
    def _is_broken(self) -> bool:
        return self._connection.info.transaction_status is psycopg.pq.TransactionStatus.INERROR

    async def position(self) -> ServerPosition:
        """
        How far the server is at this moment; all that earlier statements saw lies before.

        Raises:
            psycopg.Error: The database is away, silent, or refused the query.
        """
        if self._is_broken:
            # A search that ran out of time keeps what it has, and leaves its transaction broken.
            await self._connection.rollback()
        return ServerPosition.of((await self.all(POSITION))[0])


class LogReader:
    """Reads of one server of the logs database.  Nothing is connected before the first read."""

    def __init__(self, url: SecretStr, *, is_replica: bool = False) -> None:
        self._is_replica = is_replica
        self._reading = 0
        self._pool = AsyncConnectionPool(
            url.get_secret_value(),
            connection_class=BoundedAsyncConnection,
            kwargs={"row_factory": dict_row, "prepare_threshold": None, "application_name": "headhunter-api"},
            min_size=0,
            max_size=POOL_CONNECTIONS,
            max_idle=60.0,
            timeout=REPLICA_SECONDS if is_replica else CONNECT_SECONDS,
            # The pool's own would wait ever longer before it tries again, though the server is back.
            reconnect_timeout=0.0,
            max_waiting=WAITING_REQUESTS,
            configure=_configure,
            check=_refuse_stale,
            open=False,
            name="logs-replica" if is_replica else "logs",
        )

    async def open(self) -> None:
        """Make ready; the database need not be there yet."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def run(self, work: Callable[[LogSession], Awaitable[Result]]) -> Result:
        """
        What *work* makes of one session.

        Raises:
            TooManyRequests: Too many wait already, or all connections went on reading for as long as one may wait.
            psycopg.Error: The database is away, silent, or refused a query.
        """
        try:
            async with self._pool.connection() as connection:
                self._reading += 1
                try:
                    return await self._run(connection, work)
                finally:
                    self._reading -= 1
        except PoolTimeout as exc:
            if self._reading < POOL_CONNECTIONS:
                raise
            # The server is well, and it is its readers who are in the way of each other.
            raise TooManyRequests("all connections are reading") from exc

    async def _run(self, connection: BoundedAsyncConnection, work: Callable[[LogSession], Awaitable[Result]]) -> Result:
        connection.deadline = time.monotonic() + (REPLICA_SECONDS if self._is_replica else READ_SECONDS)
        await connection.execute(_BEGIN + _BEGIN_AT_REPLICA if self._is_replica else _BEGIN)
        if self._is_replica:
            connection.deadline = time.monotonic() + READ_SECONDS
        return await work(LogSession(connection))


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
