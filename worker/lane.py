"""One lane of the worker: receive, decode and write, acknowledge, again and again until it is told to stop."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import redis

from log_events.event_queue import Acknowledgement, EventQueue
from worker.entry import Entry
from worker.patience import Patience, StoppedError
from worker.pulse import Pulse
from worker.receive import TARGET_BYTES, Receiver, is_no_group
from worker.write import Writer

logger = logging.getLogger(__name__)

CLAIM_EVERY_SECONDS = 2.0

Answer = TypeVar("Answer")


def batches_of(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """*entries* in their order, TARGET_BYTES at most at a time; one that is larger by itself."""
    batch: list[Entry] = []
    held_bytes = 0
    for entry in entries:
        if batch and held_bytes + entry.payload_bytes > TARGET_BYTES:
            yield batch
            batch, held_bytes = [], 0
        batch.append(entry)
        held_bytes += entry.payload_bytes
    if batch:
        yield batch


class Lane:
    """
    A thread's worth of work: its own consumer, its own connections.

    Args:
        name: Of the lane, for progress.
        queue: Over this lane's own connection.
        claims: Whether this lane looks after what dead peers left.
    """

    def __init__(
        self,
        name: str,
        queue: EventQueue,
        receiver: Receiver,
        writer: Writer,
        pulse: Pulse,
        stop: threading.Event,
        *,
        claims: bool,
    ) -> None:
        self._name = name
        self._queue = queue
        self._receiver = receiver
        self._writer = writer
        self._pulse = pulse
        self._stop = stop
        self._claims = claims
        self._next_claim_at = 0.0
        self.redis_patience = Patience("waiting_for_redis", stop)

    def run(self) -> None:
        """
        Work until told to stop, then finish the batch in hand.

        Raises:
            SchemaMovedError: The tables are not what this worker knows.
        """
        try:
            while not self._stop.is_set():
                self._pulse.progressed(self._name)
                for entries in self._claimed():
                    self._deliver_all(entries)
                self._deliver_all(self._patiently(self._receiver.receive))
        except StoppedError:
            logger.info("stopped while a server was away; what was in hand stays pending", extra={"event": "lane_cut"})
        finally:
            self._writer.close()

    def _claimed(self) -> list[list[Entry]]:
        if not self._claims or time.monotonic() < self._next_claim_at:
            return []
        claimed = self._patiently(self._receiver.claim)
        if not claimed:
            self._patiently(self._queue.reap)
            self._next_claim_at = time.monotonic() + CLAIM_EVERY_SECONDS
        return claimed

    def _deliver_all(self, entries: Sequence[Entry]) -> None:
        for batch in batches_of(entries):
            self._deliver(batch)

    def _deliver(self, entries: Sequence[Entry]) -> None:
        started = time.monotonic()
        written = self._writer.write(entries)
        self._pulse.wrote(written)
        finished = [Acknowledgement(entry.id, entry.payload_bytes, entry.counts) for entry in entries]
        self._patiently(lambda: self._queue.acknowledge(finished))
        extra = {
            "event": "batch_written",
            "rows": written.rows,
            "dead_letters": written.dead_letters,
            "duplicates": written.duplicates,
            "entries": len(entries),
            "duration_ms": round((time.monotonic() - started) * 1000, 1),
        }
        logger.debug("a batch is committed and acknowledged", extra=extra)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """What Redis answers, as soon as it answers; a lost group is made again."""
        while True:
            try:
                answer = ask()
                self.redis_patience.over()
                return answer
            except redis.RedisError as exc:
                if not self._mended(exc):
                    self.redis_patience.wait(type(exc).__name__)

    def _mended(self, error: redis.RedisError) -> bool:
        if not is_no_group(error):
            return False
        try:
            if self._queue.ensure_group():
                logger.warning("the consumer group was gone and is made again", extra={"event": "group_recreated"})
        except redis.RedisError:
            return False
        return True
