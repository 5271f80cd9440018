"""How long an event takes from emit until another connection can read its row."""

import queue
import time
from threading import Event

import psycopg

from headhunter.stack.replay import Sent

_POLL_SECONDS = 0.002
_GIVE_UP_SECONDS = 30.0
_SAMPLE_SECONDS = 0.1
_ROW = "SELECT 1 FROM public.llm_logs WHERE created_at = %s AND id = %s"


class VisibilityProbe:
    """Follows one event at a time, at most ten a second, by looking for its row every 2 ms."""

    def __init__(self, logs_url: str) -> None:
        self._logs_url = logs_url
        self._samples: queue.Queue[Sent] = queue.Queue(maxsize=1)
        self._next_sample = 0.0
        self.milliseconds: list[float] = []

    def offer(self, sent: Sent) -> None:
        """Take *sent* as a sample if none is being followed; never waits."""
        if sent.emitted >= self._next_sample and self._samples.empty():
            self._next_sample = sent.emitted + _SAMPLE_SECONDS
            self._samples.put_nowait(sent)

    def run(self, stop: Event) -> None:
        """Follow samples until *stop* is set; one that is not seen for 30 s counts as 30 s."""
        with psycopg.connect(self._logs_url, autocommit=True) as connection:
            while not stop.is_set():
                try:
                    sent = self._samples.get(timeout=_SAMPLE_SECONDS)
                except queue.Empty:
                    continue
                while not connection.execute(_ROW, [sent.created_at, sent.id]).fetchone():
                    if stop.wait(_POLL_SECONDS):
                        return
                    if time.monotonic() - sent.emitted > _GIVE_UP_SECONDS:
                        break
                self.milliseconds.append(round((time.monotonic() - sent.emitted) * 1000, 2))
