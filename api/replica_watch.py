"""Looks at the read replica and its primary all the time, and says whether the replica may be read from."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from api.bounded_connection import LIBPQ_LEAST_CONNECT_SECONDS, BoundedAsyncConnection
from api.primary_history import PrimaryHistory
from logs_db.replication import POSITION, ServerPosition, lsn_text

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""Between two looks."""
ANSWER_SECONDS: Final = 2.0
"""What a server may take to answer one."""
_FAULT: Final = "the API failed at looking at it, see its log"


class StaleReplicaError(Exception):
    """The replica may not be read from at this moment; the sentence says why.  It may be soon."""


class WrongReplicaError(StaleReplicaError):
    """It is no replica of this database, and will not become one by waiting."""


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """
    What the last look found.

    Args:
        looked_at: When, by the monotonic clock.
        trouble: Why the replica is not read from; None: it is.
        lag_bytes: What the primary has written and the replica has not replayed; None: unknown.
        staleness_seconds: How old what it shows is at most; None: older than the bound, or unknown.
    """

    looked_at: float
    trouble: StaleReplicaError | None
    lag_bytes: int | None = None
    staleness_seconds: float | None = None


class ReplicaWatch:
    """
    Knows how far the primary is and when it was there, and whether the replica follows.

    Nothing is connected before `start` or the first `look`; what cannot be reached is tried again at each.
    """

    def __init__(self, primary_url: SecretStr, replica_url: SecretStr, max_staleness_seconds: float) -> None:
        self.max_staleness_seconds = max_staleness_seconds
        self.report: ReplicaReport | None = None
        self._primary = _Probe(primary_url)
        self._replica = _Probe(replica_url)
        self._history = PrimaryHistory(max_staleness_seconds + POLL_SECONDS)
        self._looking = asyncio.Lock()
        self._silent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look again and again, until `stop`."""
        self._task = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        """Look no more, and close what is open."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._primary.close()
        await self._replica.close()

    async def is_promising(self) -> bool:
        """Whether reading from the replica is worth trying; `as_of` decides."""
        if self.report is None:
            async with self._looking:
                # Somebody else may have looked while this one waited.
                if self.report is None:
                    await self._look()
        return self.report is not None and self.report.trouble is None

    async def look(self) -> None:
        """Ask both servers now."""
        async with self._looking:
            await self._look()

    async def wait_silent(self) -> None:
        """Return once a look finds no answer from the replica: who still waits for one need not."""
        await self._silent.wait()

    def note_failure(self, sentence: str) -> None:
        """A read from the replica met its end: until the next look there is no other."""
        self._tell(ReplicaReport(time.monotonic(), StaleReplicaError(sentence)))

    def as_of(self, replica: ServerPosition, min_position: int | None = None) -> float:
        """
        Since when, at the latest, what *replica* shows may have changed on the primary.

        Raises:
            StaleReplicaError: It is older than the bound or than *min_position*, or it cannot be known.
        """
        primary = self._history.latest
        if primary is None:
            raise StaleReplicaError("it is not known how far the primary is")
        _check_follows(replica, primary)
        if min_position is not None and replica.position < min_position:
            raise StaleReplicaError(f"it has not replayed {lsn_text(min_position)} yet, which the caller has seen")
        moment = self._history.as_of(replica.position)
        if moment is None or time.monotonic() - moment > self.max_staleness_seconds:
            lag = max(0, primary.position - replica.position)
            raise StaleReplicaError(f"it is {lag} bytes and more than {self.max_staleness_seconds:g} s behind")
        return moment

    async def _look_for_ever(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        try:
            await self._ask()
        except Exception:
            # Whatever it is, whoever reads must not meet it, and the next look may find all well.
            if self.report is None or str(self.report.trouble) != _FAULT:
                logger.exception("looking at the replica failed", extra={"event": "watch_failed"})
            self.note_failure(_FAULT)

    async def _ask(self) -> None:
        asked_at = time.monotonic()
        primary, replica = await asyncio.gather(self._primary.ask(), self._replica.ask())
        # A primary that is silent or a standby itself tells nothing; what was known of it grows old.
        if primary is not None and not primary.is_standby:
            self._history.note(asked_at, primary)
        self._tell(self._reported(replica))

    def _reported(self, replica: ServerPosition | None) -> ReplicaReport:
        now = time.monotonic()
        if replica is None:
            self._silent.set()
            return ReplicaReport(now, StaleReplicaError("it does not answer"))
        self._silent.clear()
        primary = self._history.latest
        lag = None if primary is None else max(0, primary.position - replica.position)
        try:
            return ReplicaReport(now, None, lag, now - self.as_of(replica))
        except StaleReplicaError as error:
            return ReplicaReport(now, error, lag)

    def _tell(self, report: ReplicaReport) -> None:
        """Keep *report*, and log where it changes what is read."""
        before, self.report = self.report, report
        was_read = before is not None and before.trouble is None
        # The first look at a busy primary knows too little to be sure of any replica; the second knows more.
        is_wrong = before is None and isinstance(report.trouble, WrongReplicaError)
        if report.trouble is not None and (was_read or is_wrong):
            logger.warning(
                "logs are read from the primary", extra={"event": "replica_left", "reason": str(report.trouble)}
            )
        if report.trouble is None and before is not None and not was_read:
            logger.info("logs are read from the replica again", extra={"event": "replica_back"})


class _Probe:
    """One connection to one server, made anew where it broke."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._connection: BoundedAsyncConnection | None = None

    async def ask(self) -> ServerPosition | None:
        """Where the server is; None: it does not say."""
        try:
            if self._connection is None:
                self._connection = await self._connect()
            self._connection.deadline = time.monotonic() + ANSWER_SECONDS
            row = await (await self._connection.execute(POSITION.statement)).fetchone()
            return None if row is None else ServerPosition.of(row)
        except psycopg.Error:
            # Why is for the check of health; here it matters only that there is no answer.
            await self.close()
            return None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connect(self) -> BoundedAsyncConnection:
        return await BoundedAsyncConnection.connect(
            self._url.get_secret_value(),
            autocommit=True,
            # A pooler may hand the next statement to another server process.
            prepare_threshold=None,
            row_factory=dict_row,
            application_name="headhunter-api-replica",
            connect_timeout=LIBPQ_LEAST_CONNECT_SECONDS,
        )


def _check_follows(replica: ServerPosition, primary: ServerPosition) -> None:
    """
    Refuse what does not follow *primary* at this moment.

    Raises:
        WrongReplicaError: It never will.
        StaleReplicaError: It does not now.
    """
    if not replica.is_standby:
        raise WrongReplicaError("it is no standby")
    if (replica.system_identifier, replica.database_oid) != (primary.system_identifier, primary.database_oid):
        raise WrongReplicaError("it is a replica of another database")
    if replica.timeline != primary.timeline:
        raise StaleReplicaError(f"it is on timeline {replica.timeline}, the primary on {primary.timeline}")
    if replica.is_paused:
        raise StaleReplicaError("its replay is paused")
    if not replica.is_receiving:
        raise StaleReplicaError("it is not connected to the primary")
