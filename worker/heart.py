"""The heart: tells Redis every second that the worker lives and how far it is."""

import threading
from contextlib import suppress

import redis

from log_events.event_queue import EventQueue
from worker.pulse import Pulse

BEAT_SECONDS = 1.0


class Heart:
    """Beats from the start of the process to its end; touches nothing but Redis, so that nothing else can stop it."""

    def __init__(self, queue: EventQueue, pulse: Pulse) -> None:
        self._queue = queue
        self._pulse = pulse
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat, with a first beat at once."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more, and take the worker off the list."""
        self._stop.set()
        self._thread.join()
        with suppress(redis.RedisError):
            self._queue.forget_worker(self._pulse.name)

    def _run(self) -> None:
        while True:
            # Silence is what a reader makes of a beat that fails; the lanes say why.
            with suppress(redis.RedisError):
                self._queue.beat(self._pulse.heartbeat())
            if self._stop.wait(BEAT_SECONDS):
                return
