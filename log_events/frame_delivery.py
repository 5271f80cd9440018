"""One sender's way to Redis, and what all senders of a producer know together."""

import threading
import time
from dataclasses import dataclass

from log_events.event_buffer import Batch, EventBuffer
from log_events.event_queue import EventQueue, QueueFullError
from log_events.kinds import counts_of_encoded
from log_events.producer_settings import ProducerSettings
from log_events.redis_client import redis_client
from log_events.redis_path import RedisPath
from log_events.spool import Spool
from log_events.stderr_notice import StderrNotice
from log_events.wire import join_frame

CONNECT_TIMEOUT_SECONDS = 2.0
ANSWER_TIMEOUT_SECONDS = 5.0
PROBE_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SenderShare:
    """What the senders of one producer share."""

    settings: ProducerSettings
    buffer: EventBuffer
    path: RedisPath
    spool: Spool | None
    notice: StderrNotice
    stopping: threading.Event


class FrameDelivery:
    """Admits frames over a connection of its own, and keeps the common `RedisPath` informed."""

    def __init__(self, settings: ProducerSettings, path: RedisPath) -> None:
        self._settings = settings
        self._path = path
        self._connected: EventQueue | None = None
        self._prober: EventQueue | None = None

    def admit(self, frame: bytes, events: int, llm_logs: int) -> None:
        """
        Put *frame* into the queue; while the path is closed, first ask over a connection with short time-outs.

        Raises:
            QueueFullError: Nothing was taken.
            Exception: Whatever the client raises; whether the frame was taken is unknown.
        """
        started = time.monotonic()
        try:
            if self._path.is_closed:
                self._probe(len(frame))
            self.queue().admit(frame, events, self._settings.queue_max_bytes, llm_logs=llm_logs)
        except QueueFullError:
            self._path.failed("the log queue is full", time.monotonic() - started, is_full=True)
            raise
        except Exception as exc:
            self.note_trouble(exc, started)
            raise
        self._path.worked()

    def note_trouble(self, exc: Exception, started: float) -> None:
        """Tell all senders that an attempt, begun at *started*, failed."""
        trouble = f"Redis does not take log events ({type(exc).__name__})"
        self._path.failed(trouble, time.monotonic() - started, is_full=False)

    def queue(self) -> EventQueue:
        """The queue over this sender's connection."""
        if self._connected is None:
            self._connected = self._connect(CONNECT_TIMEOUT_SECONDS, ANSWER_TIMEOUT_SECONDS)
        return self._connected

    def _probe(self, size_bytes: int) -> None:
        if self._prober is None:
            self._prober = self._connect(PROBE_TIMEOUT_SECONDS, PROBE_TIMEOUT_SECONDS)
        self._prober.require_room(size_bytes, self._settings.queue_max_bytes)

    def _connect(self, connect_timeout_seconds: float, answer_timeout_seconds: float) -> EventQueue:
        return EventQueue(
            redis_client(
                self._settings.redis_url,
                connect_timeout_seconds=connect_timeout_seconds,
                answer_timeout_seconds=answer_timeout_seconds,
            )
        )


def frame_of(batch: Batch) -> tuple[bytes, int, int]:
    """The frame of *batch*, and how many events and how many LLM logs it holds."""
    return join_frame(batch.events), len(batch.events), counts_of_encoded(batch.events).llm_logs
