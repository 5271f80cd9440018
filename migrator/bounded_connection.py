"""Connections that give up on a silent server: one that is stopped still accepts, and never answers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")


class ServerSilentError(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed, and what it was doing is unknown."""


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection whose statements end by `deadline`, a point of the monotonic clock, whatever the server does."""

    deadline: float = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as any connection does, but not beyond the deadline."""
        try:
            return super().wait(gen, interval, seconds_left(self.deadline, timeout))
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - what wait() is documented to raise
            raise given_up(self) from error


def seconds_left(deadline: float, timeout_seconds: float | None) -> float | None:
    """Return how long to wait: until *deadline*, or *timeout_seconds* where that is less; None: for ever."""
    if math.isinf(deadline):
        return timeout_seconds
    left = max(0.0, deadline - time.monotonic())
    return left if timeout_seconds is None else min(left, timeout_seconds)


def given_up(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> ServerSilentError:
    """Close *connection* and return the error that says so."""
    # Closed here and now: a rollback would only wait for the same silent server.
    connection.pgconn.finish()
    return ServerSilentError("the server did not answer in time; the connection was closed")
