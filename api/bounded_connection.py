"""PostgreSQL connections that give up on a silent server, for threads and for the event loop."""

import math
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import DictRow

from migrator.bounded_connection import BoundedConnection, ServerSilentError, given_up, seconds_left

__all__ = ["LIBPQ_LEAST_CONNECT_SECONDS", "BoundedAsyncConnection", "BoundedConnection", "ServerSilentError"]

T = TypeVar("T")

LIBPQ_LEAST_CONNECT_SECONDS = 2
"""The shortest connect time-out there is.  Source: PostgreSQL 18, 32.1.2 connect_timeout."""


class BoundedAsyncConnection(psycopg.AsyncConnection[DictRow]):
    """The same for the event loop; whoever takes one from a pool sets the deadline anew."""

    deadline: float = math.inf

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - the signature of psycopg's own method
        """Wait as any connection does, but not beyond the deadline."""
        try:
            return await super().wait(gen, interval, seconds_left(self.deadline, timeout))
        except psycopg.errors._WaitTimeout as exc:  # noqa: SLF001 - what wait() is documented to raise
            raise given_up(self) from exc
