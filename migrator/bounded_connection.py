"""A connection that gives up on a silent server: one that is stopped still accepts, and never answers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection whose statements end by `deadline`, a point of the monotonic clock, whatever the server does."""

    deadline: float = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as any connection does, but not beyond the deadline."""
        left_seconds = None if math.isinf(self.deadline) else max(0.0, self.deadline - time.monotonic())
        try:
            return super().wait(gen, interval, left_seconds if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - what wait() is documented to raise
            # Closed here and now: a rollback would only wait for the same silent server.
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from error
