"""The end of a worker that was told to stop: in its own time, but not beyond a deadline, whatever hangs."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def ended_within(seconds: float, stop: threading.Event, exit_code: int) -> Iterator[None]:
    """
    End the process with *exit_code* if the block has not ended *seconds* after *stop* was set.

    A server that hangs holds threads that nothing in this process can wake.  What they have in hand is not
    acknowledged, so it stays pending, and the server takes back what was not committed once the connection is gone.
    """
    ended = threading.Event()

    def watch() -> None:
        stop.wait()
        if not ended.wait(seconds):
            extra = {"event": "stop_deadline", "seconds": seconds, "exit_code": exit_code}
            logger.error("a server hangs; the worker ends, what it had in hand stays pending", extra=extra)
            os._exit(exit_code)

    threading.Thread(target=watch, name="deadline", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
