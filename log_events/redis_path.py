"""Whether Redis is worth asking, as the senders of one producer know it together."""

import random
import threading
import time

FIRST_DELAY_SECONDS = 0.05
MOST_DELAY_SECONDS = 1.0
_CLAIM_SECONDS = 10.0
"""Longer than a probe and an attempt may take together; whoever claims an attempt tells its outcome before."""


class RedisPath:
    """
    Closed to all after a failure but for one attempt at a time, the pauses between attempts doubling up to a second.

    After an attempt that took long, a hanging server's, the pause is twice as long: it costs a thread that is needed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._retry_at = 0.0
        self.trouble = ""
        """Why the path is closed; empty while it is not."""
        self.is_full = False
        """Redis answers, but takes no frames."""

    @property
    def is_closed(self) -> bool:
        """Whether the last attempt failed."""
        return bool(self.trouble)

    def seconds_to_attempt(self) -> float:
        """How long until an attempt is due; 0 where one is."""
        return max(0.0, self._retry_at - time.monotonic()) if self.trouble else 0.0

    def may_try(self) -> bool:
        """Whether the caller may try now: while the path is closed, only one caller at a time is told so."""
        if not self.trouble:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                return False
            self._retry_at = now + _CLAIM_SECONDS
            return True

    def give_back(self) -> None:
        """What `may_try` allowed was not tried: let another caller try at once."""
        if self.trouble:
            with self._lock:
                self._retry_at = 0.0

    def worked(self) -> None:
        """An attempt went well."""
        if self.trouble:
            with self._lock:
                self.trouble, self.is_full, self._delay_seconds = "", False, FIRST_DELAY_SECONDS

    def failed(self, trouble: str, took_seconds: float, *, is_full: bool) -> None:
        """An attempt failed for *trouble*."""
        with self._lock:
            pause = self._delay_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
            self._retry_at = time.monotonic() + max(pause, 2 * took_seconds)
            self._delay_seconds = min(2 * self._delay_seconds, MOST_DELAY_SECONDS)
            self.trouble, self.is_full = trouble, is_full
