"""A thread that carries frames from the buffer to Redis, however long Redis is slow, full or away."""

import math
import random
import threading
import time
from collections.abc import Callable, Iterator

from log_events.event_buffer import Batch, EventBuffer
from log_events.event_queue import EventQueue, QueueFullError
from log_events.producer_settings import ProducerSettings
from log_events.redis_client import redis_client
from log_events.stderr_notice import StderrNotice
from log_events.wire import FRAME_OVERHEAD_BYTES, join_frame

CONNECT_TIMEOUT_SECONDS = 2.0
ANSWER_TIMEOUT_SECONDS = 5.0
REPORT_INTERVAL_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.05
MOST_DELAY_SECONDS = 1.0

Report = Callable[[EventQueue], None]


class _ThisThread(threading.local):
    is_sending = False


this_thread = _ThisThread()
"""Says whether this thread is at work for a producer: what it logs must not become events, which it would log again."""


class FrameSender:
    """
    Sends frames over a connection of its own until *stopping* is set.

    A frame whose answer was lost is sent again: its events carry their identity, so a second copy is recognised.

    Args:
        report: Called every few seconds and once more at the end; None for all senders of a producer but one.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        buffer: EventBuffer,
        stopping: threading.Event,
        notice: StderrNotice,
        report: Report | None = None,
    ) -> None:
        self._settings = settings
        self._buffer = buffer
        self._stopping = stopping
        self._notice = notice
        self._report = report
        self._report_at = 0.0
        self._dropped_events = 0
        self._connected: EventQueue | None = None
        self._deadline = math.inf
        self._found_full = False

    def run(self) -> None:
        """Send what comes, until the producer is closed."""
        this_thread.is_sending = True
        while not self._stopping.is_set():
            self._report_if_due()
            if self._buffer.wait(REPORT_INTERVAL_SECONDS) and not self._stopping.is_set():
                self._buffer.gather(self._settings.flush_interval_seconds)
                self._send_next()
        self._report_at = 0.0
        self._report_if_due()

    def drain(self, timeout_seconds: float) -> None:
        """Send, in the calling thread, what is there now; for a process that cannot start threads any more."""
        this_thread.is_sending = True
        self._deadline = time.monotonic() + timeout_seconds
        try:
            while time.monotonic() < self._deadline and self._send_next():
                pass
        finally:
            this_thread.is_sending = False

    def _send_next(self) -> bool:
        batch = self._buffer.take()
        if batch is None:
            return False
        for delay_seconds in _delays():
            if self._is_done_with(batch) or self._stopping.wait(delay_seconds) or time.monotonic() > self._deadline:
                break
            self._report_if_due()
        if not self._stopping.is_set():
            self._notice_drops()
        return True

    def _is_done_with(self, batch: Batch) -> bool:
        size = batch.bytes + FRAME_OVERHEAD_BYTES
        try:
            if size > self._settings.queue_max_bytes:
                self._notice.say(f"an event of {size} bytes is larger than LOGS_QUEUE_MAX_BYTES; it is dropped")
                self._buffer.refuse(batch)
            else:
                if self._found_full:
                    self._queue().require_room(size, self._settings.queue_max_bytes)
                self._queue().admit(join_frame(batch.events), len(batch.events), self._settings.queue_max_bytes)
                self._found_full = False
                self._buffer.settle(batch)
        except QueueFullError as exc:
            self._found_full = True
            self._say_kept("the log queue is full", exc)
        except Exception as exc:  # noqa: BLE001 - nothing may end this thread while it holds a frame
            self._say_kept("Redis does not take log events", exc)
        else:
            return True
        return False

    def _queue(self) -> EventQueue:
        if self._connected is None:
            client = redis_client(
                self._settings.redis_url,
                connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
                answer_timeout_seconds=ANSWER_TIMEOUT_SECONDS,
            )
            self._connected = EventQueue(client)
        return self._connected

    def _report_if_due(self) -> None:
        now = time.monotonic()
        if self._report is None or now < self._report_at:
            return
        self._report_at = now + REPORT_INTERVAL_SECONDS
        try:
            self._report(self._queue())
        except Exception as exc:  # noqa: BLE001 - a report is no reason to stop sending
            self._say_kept("Redis does not take the producer's report", exc)

    def _say_kept(self, what: str, exc: Exception) -> None:
        held = self._buffer.counters()
        self._notice.say(
            f"{what} ({type(exc).__name__}: {exc}); {held.buffered_events} events ({held.buffered_bytes} bytes) are"
            f" kept in memory and sent again, {held.dropped_events} were dropped so far"
        )

    def _notice_drops(self) -> None:
        held = self._buffer.counters()
        if held.dropped_events > self._dropped_events:
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(held.dropped_by_kind.items()))
            self._notice.say(
                f"{held.dropped_events} events were dropped so far ({kinds}): they came faster than Redis took them, "
                f"and the buffer of {self._settings.buffer_max_bytes} bytes was full"
            )
        self._dropped_events = held.dropped_events


def _delays() -> Iterator[float]:
    """Delays that double up to a second, each shortened at random, so that many producers do not return at once."""
    longest = FIRST_DELAY_SECONDS
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
        longest = min(2 * longest, MOST_DELAY_SECONDS)
