"""A thread that carries frames from the buffer to Redis, or to the spool while Redis is slow, full or away."""

import math
import random
import threading
import time
from collections.abc import Callable, Iterator

import redis

from log_events.event_buffer import Batch
from log_events.event_queue import EventQueue, QueueFullError
from log_events.frame_delivery import FrameDelivery, SenderShare, frame_of
from log_events.redis_path import FIRST_DELAY_SECONDS, MOST_DELAY_SECONDS
from log_events.spool import SpoolError
from log_events.wire import FRAME_OVERHEAD_BYTES, split_frame

REPORT_INTERVAL_SECONDS = 5.0
_BUSY_SPOOL_SECONDS = 0.05
"""How long a thread that has nothing to send waits before it looks whether it may help with the spool."""

Report = Callable[[EventQueue], None]


class _ThisThread(threading.local):
    is_sending = False


this_thread = _ThisThread()
"""Says whether this thread is at work for a producer: what it logs must not become events, which it would log again."""


class FrameSender:
    """
    Sends frames over a connection of its own until the producer is closed.

    A frame whose answer was lost is sent again: its events carry their identity, so a second copy is recognised.
    Between new frames the spool's oldest ones are delivered: as many as fit into the time in which new events gather,
    and one for each new frame at least, unless new events come faster than they leave.

    Args:
        report: Called every few seconds and once more at the end; None for all senders of a producer but one.
        tell: Called now and then while Redis takes frames: may put events of the producer's own into the buffer.
    """

    def __init__(self, share: SenderShare, tell: Callable[[], None], report: Report | None = None) -> None:
        self._settings = share.settings
        self._buffer = share.buffer
        self._path = share.path
        self._spool = share.spool
        self._notice = share.notice
        self._stopping = share.stopping
        self._delivery = FrameDelivery(share.settings, share.path)
        self._tell = tell
        self._report = report
        self._report_at = 0.0
        self._dropped_events = 0
        self._deadline = math.inf

    def run(self) -> None:
        """Send what comes, until the producer is closed."""
        this_thread.is_sending = True
        has_delivered = False
        while not self._stopping.is_set():
            self._report_if_due()
            if self._buffer.wait(0.0 if has_delivered else self._patience_seconds()) and not self._stopping.is_set():
                self._gather()
                self._send_next()
            has_delivered = not self._stopping.is_set() and self._deliver_spooled()
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

    def _patience_seconds(self) -> float:
        if self._spool is None or not self._spool.may_have_frames:
            return REPORT_INTERVAL_SECONDS
        return max(_BUSY_SPOOL_SECONDS, min(self._path.seconds_to_attempt(), REPORT_INTERVAL_SECONDS))

    def _gather(self) -> None:
        """Let events come together, and deliver from the spool meanwhile."""
        until = time.monotonic() + self._settings.flush_interval_seconds
        while not self._buffer.is_urgent and time.monotonic() < until and self._deliver_spooled():
            pass
        self._buffer.gather(max(0.0, until - time.monotonic()))

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
        if size > self._settings.queue_max_bytes:
            self._notice.say(f"an event of {size} bytes is larger than LOGS_QUEUE_MAX_BYTES; it is dropped")
            self._buffer.refuse(batch, "it was larger than LOGS_QUEUE_MAX_BYTES")
            return True
        # Where Redis takes less than comes, the disk takes the rest before the buffer is full.
        ways = (self._to_spool, self._to_redis) if self._buffer.is_crowded else (self._to_redis, self._to_spool)
        return any(way(batch) for way in ways)

    def _to_redis(self, batch: Batch) -> bool:
        if self._spool is not None and not self._path.may_try():
            return False
        try:
            self._delivery.admit(*frame_of(batch))
            self._buffer.settle(batch)
            self._buffer.trouble = ""
            self._tell()
        except Exception as exc:  # noqa: BLE001 - nothing may end this thread while it holds a frame
            self._say_refused(exc)
            return False
        return True

    def _to_spool(self, batch: Batch) -> bool:
        if self._spool is None:
            self._buffer.trouble = self._path.trouble
            return False
        try:
            self._spool.append(*frame_of(batch))
        except SpoolError as exc:
            self._buffer.trouble = " and ".join(filter(None, (self._path.trouble, str(exc))))
            self._say_kept(str(exc))
            return False
        except Exception as exc:  # noqa: BLE001 - likewise
            self._say_kept(f"the spool failed ({type(exc).__name__}: {exc})")
            return False
        self._buffer.settle(batch, is_spooled=True)
        return True

    def _deliver_spooled(self) -> bool:
        """Send the spool's oldest frame, if that is to be had and Redis worth asking; False where nothing was sent."""
        spool = self._spool
        if spool is None or not spool.may_have_frames or self._buffer.is_crowded or not self._path.may_try():
            return False
        is_tried = False

        def deliver(frame: bytes, events: int, llm_logs: int) -> None:
            nonlocal is_tried
            is_tried = True
            if len(frame) > self._settings.queue_max_bytes:
                self._buffer.count_refused(split_frame(frame), "it was larger than LOGS_QUEUE_MAX_BYTES")
            else:
                self._delivery.admit(frame, events, llm_logs)

        is_delivered = False
        try:
            is_delivered = spool.deliver_next(deliver)
            self._tell()
        except Exception as exc:  # noqa: BLE001 - likewise: the frame is still in the spool
            self._say_refused(exc)
        if not is_tried:
            self._path.give_back()
        return is_delivered

    def _report_if_due(self) -> None:
        now = time.monotonic()
        if self._report is None or now < self._report_at:
            return
        self._report_at = now + REPORT_INTERVAL_SECONDS
        if self._path.is_closed and not self._path.is_full:
            return  # it would wait in vain
        try:
            self._report(self._delivery.queue())
            if not self._path.is_closed:
                self._tell()
        except Exception as exc:  # noqa: BLE001 - a report is no reason to stop sending
            if isinstance(exc, redis.ConnectionError | redis.TimeoutError):
                self._delivery.note_trouble(exc, now)
            self._say_kept(f"Redis does not take the producer's report ({type(exc).__name__}: {exc})")

    def _say_refused(self, exc: Exception) -> None:
        if isinstance(exc, SpoolError):
            what = str(exc)
        elif isinstance(exc, QueueFullError):
            what = f"the log queue is full ({exc})"
        else:
            what = f"Redis does not take log events ({type(exc).__name__}: {exc})"
        self._say_kept(what)

    def _say_kept(self, what: str) -> None:
        held = self._buffer.counters()
        spooled = "" if self._spool is None else f"{held.spooled_events} events went into the spool so far, "
        self._notice.say(
            f"{what}; {spooled}{held.buffered_events} events ({held.buffered_bytes} bytes) are"
            f" kept in memory and sent again, {held.dropped_events} were dropped so far"
        )

    def _notice_drops(self) -> None:
        held = self._buffer.counters()
        if held.dropped_events > self._dropped_events:
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(held.dropped_by_kind.items()))
            self._notice.say(
                f"{held.dropped_events} events were dropped so far ({kinds}): they came faster than they were taken, "
                f"and the buffer of {self._settings.buffer_max_bytes} bytes was full"
            )
        self._dropped_events = held.dropped_events


def _delays() -> Iterator[float]:
    """Delays that double up to a second, each shortened at random, so that many producers do not return at once."""
    longest = FIRST_DELAY_SECONDS
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
        longest = min(2 * longest, MOST_DELAY_SECONDS)
