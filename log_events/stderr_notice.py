"""How a producer speaks of its own troubles: on stderr, seldom, and never through a logger."""

import contextlib
import sys
import threading
import time


class StderrNotice:
    """
    Lines on stderr, at most one every *interval_seconds*.

    Writing to a full pipe blocks, so only the producer's own threads and `close` speak, never the threads that log.
    """

    def __init__(self, interval_seconds: float = 10.0) -> None:
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._silent_until = 0.0

    def say(self, text: str) -> None:
        """Write one line, unless one was written a moment ago."""
        now = time.monotonic()
        if now < self._silent_until or not self._lock.acquire(blocking=False):
            return
        try:
            self._silent_until = now + self._interval_seconds
            self.say_now(text)
        finally:
            self._lock.release()

    def say_now(self, text: str) -> None:
        """Write one line in any case."""
        if sys.stderr is not None:  # None in a process without a console
            with contextlib.suppress(Exception):
                sys.stderr.write(f"log_events: {text}\n")
                sys.stderr.flush()
