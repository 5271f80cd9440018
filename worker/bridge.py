"""The bridge from the list, the door for producers in any language, to the stream that the lanes read."""

import logging
import threading

import redis

from log_events.event_queue import Bridged, EventQueue, QueueFullError
from worker.patience import Patience, StoppedError
from worker.pulse import Pulse

logger = logging.getLogger(__name__)

MOST_EVENTS = 200
"""How many events go into one entry."""

MOST_ENTRY_BYTES = 1024 * 1024
"""An entry takes no further event once it is this large."""

MOST_STREAM_BYTES = 64 * 1024 * 1024
"""How much the stream may hold for events from the list to be carried over; half its limit where that is less."""

IDLE_PAUSE_SECONDS = 0.05
"""How long an event in the list may wait to be noticed."""


class Bridge:
    """Carries events over as long as there are any and the stream has room."""

    def __init__(self, queue: EventQueue, max_bytes: int, pulse: Pulse, stop: threading.Event) -> None:
        self._queue = queue
        # Whoever floods the list must neither fill the stream up, or the other door would be closed to everybody, nor
        # make the frames of others wait behind more than this.
        self._max_bytes = min(max_bytes // 2, MOST_STREAM_BYTES)
        self._pulse = pulse
        self._stop = stop
        self.patience = Patience("waiting_for_redis", stop)

    def run(self) -> None:
        """Work until told to stop."""
        try:
            while not self._stop.is_set():
                self._pulse.progressed("bridge")
                self._carry()
        except StoppedError:
            return

    def _carry(self) -> None:
        try:
            bridged = self._queue.bridge(
                max_events=MOST_EVENTS, max_entry_bytes=MOST_ENTRY_BYTES, max_bytes=self._max_bytes
            )
            self.patience.over()
        except QueueFullError:
            bridged = Bridged(events=0, left=0)
        except redis.RedisError as exc:
            self.patience.wait(str(exc) if isinstance(exc, redis.ResponseError) else type(exc).__name__)
            return
        if not bridged.events:
            self._stop.wait(IDLE_PAUSE_SECONDS)
