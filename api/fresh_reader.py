"""
Reads logs from the replica while it is fresh enough, else from the primary; the caller never sees the difference.

How old an answer is counts from the moment of which the replica certainly had everything to the moment when the answer
is complete, so that it is never more than the bound, however long the read took.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Self, TypeVar

import psycopg
from psycopg_pool import TooManyRequests
from pydantic import SecretStr

from api.log_reader import LogReader, LogSession
from api.replica_watch import ReplicaWatch, StaleReplicaError
from logs_db.queries.story import EventNotFoundError
from logs_db.replication import lsn_text

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Work = Callable[[LogSession], Awaitable[Result]]

# What the primary would refuse as well; and what is too much for one of them shall not hurt the other.
_NOT_THE_REPLICAS: Final = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.SyntaxError,
    psycopg.DataError,
    TooManyRequests,
)
# It was only this statement that was in the way of replay.
_CONFLICTS: Final = (psycopg.errors.TransactionRollback, psycopg.errors.LockNotAvailable)


class Source(StrEnum):
    """What an answer was read from."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result]):
    """
    What was read, and how fresh it is.

    Args:
        staleness_seconds: What was committed longer ago than this is in it.
        lsn: Give it to the next read as its least position, and that will not be older; None: not known.
    """

    result: Result
    read_from: Source
    staleness_seconds: float
    lsn: str | None


class FreshReader:
    """Reads of the logs database.  Without a replica it reads from the primary, and nothing else is different."""

    def __init__(self, primary_url: SecretStr, replica_url: SecretStr | None, max_staleness_seconds: float) -> None:
        self._primary = LogReader(primary_url)
        self._left: set[asyncio.Task[Any]] = set()
        self._replica = None if replica_url is None else LogReader(replica_url, is_replica=True)
        self.watch = None if replica_url is None else ReplicaWatch(primary_url, replica_url, max_staleness_seconds)

    async def __aenter__(self) -> Self:
        """Make ready; neither server need be there yet."""
        await self._primary.open()
        if self._replica is not None and self.watch is not None:
            await self._replica.open()
            await self.watch.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._replica is not None and self.watch is not None:
            await self.watch.stop()
            await self._replica.close()
        await self._primary.close()

    async def run(self, work: Work[Result]) -> Result:
        """
        What *work* makes of one session; it may be called twice.

        Raises:
            psycopg.Error: The primary is away, silent, or refused a query; too many wait already.
        """
        return (await self.answer(work)).result

    async def answer(self, work: Work[Result], min_position: int | None = None) -> Answer[Result]:
        """The same and how fresh it is: no older than the bound, nor than *min_position* in the primary's log."""
        if self._replica is None or self.watch is None:
            began = time.monotonic()
            result = await self._primary.run(work)
            return Answer(result, Source.PRIMARY, time.monotonic() - began, None)
        watch = self.watch
        if await watch.is_promising():
            try:
                reading = self._replica.run(lambda session: _from_replica(session, watch, work, min_position))
                return await self._unless_silent(reading, watch)
            except (*_NOT_THE_REPLICAS,):
                raise
            except StaleReplicaError as error:
                reason = str(error)
            except EventNotFoundError:
                # It may have come just now, and looking for one event costs little.
                reason = "the event is not there yet, if ever"
            except psycopg.Error as error:
                reason = f"it failed: {type(error).__name__}"
                if not isinstance(error, _CONFLICTS):
                    watch.note_failure(reason)
            logger.info("a read goes to the primary", extra={"event": "replica_passed_over", "reason": reason})
        return await self._primary.run(lambda session: _from_primary(session, work))

    async def _unless_silent(
        self, reading: Coroutine[None, None, Answer[Result]], watch: ReplicaWatch
    ) -> Answer[Result]:
        """What *reading* gives, unless the replica falls silent before: then that is left to its own deadline."""
        read, silence = asyncio.create_task(reading), asyncio.create_task(watch.wait_silent())
        # Cancelled, it would ask the silent server to cancel its statement, and wait for that.
        self._left.add(read)
        read.add_done_callback(self._forget)
        try:
            await asyncio.wait((read, silence), return_when=asyncio.FIRST_COMPLETED)
        finally:
            silence.cancel()
        if not read.done():
            raise StaleReplicaError("it fell silent amid the read")
        return read.result()

    def _forget(self, read: asyncio.Task[Any]) -> None:
        self._left.discard(read)
        if not read.cancelled():
            # Whoever waited was told; nobody needs to hear of it again.
            read.exception()


async def _from_replica(
    session: LogSession, watch: ReplicaWatch, work: Work[Result], min_position: int | None
) -> Answer[Result]:
    as_of = watch.as_of(await session.position(), min_position)
    result = await work(session)
    lsn = lsn_text((await session.position()).position)
    staleness = time.monotonic() - as_of
    if staleness > watch.max_staleness_seconds:
        raise StaleReplicaError("the read took so long that what it found is too old now")
    return Answer(result, Source.REPLICA, staleness, lsn)


async def _from_primary(session: LogSession, work: Work[Result]) -> Answer[Result]:
    began = time.monotonic()
    result = await work(session)
    try:
        # Afterwards: the last statement of the work may have seen more than the first.
        lsn = lsn_text((await session.position()).position)
    except psycopg.Error:
        # An answer without its position is worth more than none.
        lsn = None
    return Answer(result, Source.PRIMARY, time.monotonic() - began, lsn)
