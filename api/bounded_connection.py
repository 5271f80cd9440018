"""PostgreSQL connections that give up on a silent server: one that is stopped still accepts, and never answers."""

import math
import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import DictRow, TupleRow

T = TypeVar("T")

LIBPQ_LEAST_CONNECT_SECONDS = 2
"""The shortest connect time-out there is.  Source: PostgreSQL 18, 32.1.2 connect_timeout."""


class ServerSilentError(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed, and what it was doing is unknown."""


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection whose statements end by `deadline`, a point of the monotonic clock, whatever the server does."""

    deadline: float = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as any connection does, but not beyond the deadline."""
        try:
            return super().wait(gen, interval, _allowed(self.deadline, timeout))
        except psycopg.errors._WaitTimeout as exc:  # noqa: SLF001 - what wait() is documented to raise
            raise _given_up(self) from exc


class BoundedAsyncConnection(psycopg.AsyncConnection[DictRow]):
    """The same for the event loop; whoever takes one from a pool sets the deadline anew."""

    deadline: float = math.inf

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - the signature of psycopg's own method
        """Wait as any connection does, but not beyond the deadline."""
        try:
            return await super().wait(gen, interval, _allowed(self.deadline, timeout))
        except psycopg.errors._WaitTimeout as exc:  # noqa: SLF001 - what wait() is documented to raise
            raise _given_up(self) from exc


def _allowed(deadline: float, timeout_seconds: float | None) -> float | None:
    if math.isinf(deadline):
        return timeout_seconds
    left_seconds = max(0.0, deadline - time.monotonic())
    return left_seconds if timeout_seconds is None else min(left_seconds, timeout_seconds)


def _given_up(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> ServerSilentError:
    # Closed here and now: a rollback would only wait for the same silent server.
    connection.pgconn.finish()
    return ServerSilentError("the server did not answer in time; the connection was closed")
