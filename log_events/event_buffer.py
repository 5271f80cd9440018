"""The bounded buffer between those who log and those who send: encoded events, gathered into frames as they come."""

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from log_events.dropped_events import DroppedEvents
from log_events.dropped_kinds import kind_of
from log_events.wire import MAX_FRAME_BYTES

TELL_INTERVAL_SECONDS = 10.0
"""At most one event in so many seconds tells of drops."""


@dataclass(slots=True)
class Batch:
    """The encoded events of one frame."""

    first: int
    """Number of its first event, counted from the buffer's start."""
    events: list[bytes] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class BufferCounters:
    """What became of the events that were put into a buffer, since it was made."""

    accepted_events: int
    """In Redis, or synced in the spool, for certain."""
    buffered_events: int
    buffered_bytes: int
    dropped_by_kind: dict[str, int]
    """By level, and ``llm_log`` for LLM calls."""
    spooled_events: int = 0
    """Those of the accepted ones that went into the spool first."""

    @property
    def dropped_events(self) -> int:
        """All that were dropped."""
        return sum(self.dropped_by_kind.values())


class EventBuffer:
    """
    Holds at most *max_bytes* of encoded events until their frame is settled, those on their way included.

    `put` only ever appends to a list; a batch is handed over whole, so nobody holds the lock for longer than
    a few operations.  The lock is re-entrant, because a signal handler or a finalizer may log while its thread
    is in `put`; such an event waits until the interrupted `put` is through.
    """

    def __init__(self, max_bytes: int, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._max_frame_bytes = max_frame_bytes
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._open = Batch(first=0)
        self._full: deque[Batch] = deque()
        self._in_flight: dict[int, Batch] = {}
        self._put_events = 0
        self._held_bytes = 0
        self._accepted_events = 0
        self._lost_events = 0
        self._spooled_events = 0
        self._dropped: Counter[str] = Counter()
        self._untold = DroppedEvents()
        self._tell_at = 0.0
        self.trouble = ""
        """Why nothing leaves the buffer, for the reason of drops; set by those who send."""
        self._flushes = 0
        self._is_putting = False
        self._late: deque[tuple[bytes, str]] = deque()
        self._is_closed = False

    def put(self, encoded: bytes, kind: str) -> bool:
        """Take one event; False, and counted as dropped under *kind*, where it does not fit.  Waits for nobody."""
        with self._lock:
            if self._is_putting:
                self._late.append((encoded, kind))
                return True
            self._is_putting = True
            try:
                is_taken = self._add(encoded, kind)
            finally:
                self._is_putting = False
            while self._late:
                self.put(*self._late.popleft())
        return is_taken

    def _add(self, encoded: bytes, kind: str) -> bool:
        size = len(encoded)
        if self._held_bytes + size > self._max_bytes or self._is_closed:
            self._drop(kind, "the producer was closed" if self._is_closed else self._full_reason())
            return False
        batch = self._open
        is_first = not batch.events
        if batch.bytes + size > self._max_frame_bytes and not is_first:
            self._full.append(batch)
            self._open = batch = Batch(first=self._put_events)
            is_first = True
        batch.events.append(encoded)
        batch.bytes += size
        self._put_events += 1
        self._held_bytes += size
        if is_first:
            # Either the buffer was empty or a frame is full: both are news for a sender.
            self._wake.put(None)
        return True

    def count_dropped(self, kind: str) -> None:
        """Count an event that did not come as far as `put`."""
        with self._lock:
            self._drop(kind, "it could not be rendered")

    def tell_drops(self, render: Callable[[DroppedEvents], bytes], *, is_last: bool = False) -> bool:
        """
        Put one event of what was dropped since the last one, seldom unless *is_last*.

        False where nothing was dropped, or no room is left for the event.
        """
        if not self._untold.by_kind or (time.monotonic() < self._tell_at and not is_last):
            return False
        with self._lock:
            if not self._untold.by_kind or self._is_putting:
                return False
            encoded = render(self._untold)
            if self._is_closed or self._held_bytes + len(encoded) > self._max_bytes:
                return False
            self._untold = DroppedEvents()
            self._tell_at = time.monotonic() + TELL_INTERVAL_SECONDS
            return self.put(encoded, "WARNING")

    @property
    def is_crowded(self) -> bool:
        """Whether events come so much faster than they leave that more than half of the buffer is taken."""
        return self._held_bytes > self._max_bytes // 2

    def count_refused(self, events: list[bytes], reason: str) -> None:
        """Count events as dropped that had been accepted already, but will never be taken."""
        with self._lock:
            for kind, count in Counter(map(kind_of, events)).items():
                self._drop(kind, reason, count)

    def _drop(self, kind: str, reason: str, count: int = 1) -> None:
        self._dropped[kind] += count
        self._untold.add(kind, reason, count)

    def _full_reason(self) -> str:
        return f"the buffer of {self._max_bytes} bytes was full" + (f", because {self.trouble}" if self.trouble else "")

    def wait(self, timeout_seconds: float) -> bool:
        """Wait, without any cost, until there is something to send; False where there was nothing for so long."""
        try:
            self._wake.get(timeout=timeout_seconds)
        except queue.Empty:
            return False
        return True

    def gather(self, interval_seconds: float) -> None:
        """Give events *interval_seconds* to come together, unless a frame is full or somebody waits in `flush`."""
        if not self.is_urgent:
            self.wait(interval_seconds)

    @property
    def is_urgent(self) -> bool:
        """Whether a frame is full, or somebody waits in `flush`."""
        return bool(self._full or self._flushes)

    def take(self) -> Batch | None:
        """The next frame's events, oldest first; they count as held until `settle`."""
        with self._lock:
            if self._full:
                batch = self._full.popleft()
            elif self._open.events:
                batch, self._open = self._open, Batch(first=self._put_events)
            else:
                return None
            self._in_flight[batch.first] = batch
            if self._full or self._open.events:
                self._wake.put(None)
            return batch

    def settle(self, batch: Batch, *, is_spooled: bool = False) -> None:
        """Redis or the spool has *batch*: make room."""
        with self._lock:
            if self._in_flight.pop(batch.first, None) is not None:
                self._held_bytes -= batch.bytes
                self._accepted_events += len(batch.events)
                self._spooled_events += len(batch.events) if is_spooled else 0
            self._settled.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Have everything sent at once that was put before; False where that took longer than *timeout_seconds*."""
        with self._lock:
            end = self._put_events
            self._flushes += 1
            self._wake.put(None)
            try:
                return self._settled.wait_for(lambda: self._oldest() >= end, timeout_seconds)
            finally:
                self._flushes -= 1

    def close(self) -> None:
        """Drop, and count, whatever is put from now on."""
        with self._lock:
            self._is_closed = True

    def take_all(self) -> list[Batch]:
        """Everything that is not settled, oldest first, also what others have taken and may still send."""
        while self.take() is not None:
            pass
        with self._lock:
            return [self._in_flight[first] for first in sorted(self._in_flight)]

    def abandon(self) -> int:
        """Count everything that is not settled as dropped; return how many events that is."""
        with self._lock:
            batches = [*self._in_flight.values(), *self._full, self._open]
            self._in_flight.clear()
            self._full.clear()
            self._open = Batch(first=self._put_events)
            self._held_bytes = 0
            encoded = [event for batch in batches for event in batch.events]
            self._lost_events += len(encoded)
        lost = Counter(map(kind_of, encoded))
        with self._lock:
            for kind, count in lost.items():
                self._drop(kind, "the process ended first", count)
        return len(encoded)

    def refuse(self, batch: Batch, reason: str) -> None:
        """Redis will never take *batch*: count it as dropped and make room."""
        lost = Counter(map(kind_of, batch.events))
        with self._lock:
            if self._in_flight.pop(batch.first, None) is not None:
                self._held_bytes -= batch.bytes
                self._lost_events += len(batch.events)
                for kind, count in lost.items():
                    self._drop(kind, reason, count)
            self._settled.notify_all()

    def wake_all(self, senders: int) -> None:
        """Let *senders* waiting threads look up, to see that they are to end."""
        for _ in range(senders):
            self._wake.put(None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, on its way included."""
        with self._lock:
            return self._oldest() >= self._put_events

    def counters(self) -> BufferCounters:
        """What became of all events so far."""
        with self._lock:
            return BufferCounters(
                accepted_events=self._accepted_events,
                buffered_events=self._put_events - self._accepted_events - self._lost_events,
                buffered_bytes=self._held_bytes,
                dropped_by_kind=dict(self._dropped),
                spooled_events=self._spooled_events,
            )

    def _oldest(self) -> int:
        """Number of the oldest event that is held, or of the next one to come."""
        waiting = self._full[0].first if self._full else self._open.first
        return min((waiting, *self._in_flight))
