"""The way of an event out of a process: emitted without waiting, sent by threads, flushed at the end."""

import atexit
import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from log_events.dropped_events import DroppedEvents, spool_cut_event
from log_events.dropped_kinds import LLM_KIND
from log_events.event_buffer import BufferCounters, EventBuffer
from log_events.event_queue import EventQueue
from log_events.frame_delivery import SenderShare, frame_of
from log_events.frame_sender import FrameSender, this_thread
from log_events.heartbeat import ProducerReport
from log_events.producer_settings import ProducerSettings, redactor_of
from log_events.redaction import Redactor
from log_events.redis_path import RedisPath
from log_events.safe_text import clean_event
from log_events.spool import Spool, SpoolError
from log_events.stderr_notice import StderrNotice
from log_events.system_log import SystemLogEvent
from log_events.wire import FRAME_OVERHEAD_BYTES, MAX_FRAME_BYTES, LogEvent, encode_event

_FAREWELL_SHARE = 0.1
"""Of the time that `Producer.close` has, what is left for the last report."""

_SPOOLING_SHARE = 0.4
"""Of the time that `Producer.close` has, what is left for writing into the spool what Redis did not take."""

_RETRY_SECONDS = 10.0
"""How long a wrong environment is not read again."""

_open_producers: set["Producer"] = set()


class Producer:
    """
    Takes events in any thread at any time, and sends them to the log queue in frames.

    Nothing is connected or started before the first event.  A forked child begins with an empty buffer and threads of
    its own.  At the end of the process everything still buffered is sent, within ``close_timeout_seconds``; what is
    lost by SIGKILL or `os._exit` is the buffer: one flush interval while Redis answers or the spool takes events.

    With a spool folder, what Redis does not take now is written there by the sending threads, and delivered when it
    does: by this process, or by the next one that uses the folder.

    Args:
        redactor: Takes secrets out of events; by default one made from the settings.

    Raises:
        ValueError: The settings are wrong; the message names all faults and no secret.
    """

    def __init__(self, settings: ProducerSettings, redactor: Redactor | None = None) -> None:
        self.settings = settings
        self.redactor = redactor or redactor_of(settings)
        self._spool: Spool | None = None
        self._begin()
        _open_producers.add(self)

    @classmethod
    def from_environment(cls) -> "Producer":
        """A producer with the settings that the process's environment holds."""
        return cls(ProducerSettings.from_environment())

    def emit(self, event: LogEvent) -> bool:
        """
        Buffer *event*; False, and counted as dropped, where that cannot be.  Never waits for Redis, never raises.

        Secrets are replaced by ``[redacted]``, characters that cannot be stored (NUL, lone surrogates) by U+FFFD.
        """
        kind = event.level if isinstance(event, SystemLogEvent) else LLM_KIND
        try:
            encoded = encode_event(self.redactor.event(clean_event(event)))
        except Exception:  # noqa: BLE001 - a field of a wrong type, which the encoder refuses
            self._buffer.count_dropped(kind)
            return False
        return self.put(encoded, kind)

    def put(self, encoded: bytes, kind: str) -> bool:
        """`emit` for an event that is encoded, clean and redacted; *kind* is what a drop is counted as."""
        if this_thread.is_sending:
            return False
        if not self._threads:
            self._start()
        return self._buffer.put(encoded, kind)

    def start(self) -> None:
        """Start the threads before the first event comes, so that what a spool holds is delivered meanwhile."""
        if not self._threads:
            self._start()

    def count_dropped(self, kind: str) -> None:
        """Count an event that could not even be built."""
        self._buffer.count_dropped(kind)

    def flush(self, timeout_seconds: float) -> bool:
        """Send what is buffered now without waiting for company; False where nobody took it all in time."""
        return self._buffer.flush(timeout_seconds)

    def close(self, timeout_seconds: float | None = None) -> bool:
        """
        Send what is buffered and end the threads; False where events had to be given up, which stderr then says.

        Later events are dropped and counted.  Takes at most *timeout_seconds* (by default the settings' own).
        """
        if self not in _open_producers:
            return True
        _open_producers.discard(self)
        timeout = self.settings.close_timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + timeout
        self._tell(is_last=True)
        self._buffer.close()
        self._drain(timeout * (1 - _FAREWELL_SHARE - (0.0 if self._spool is None else _SPOOLING_SHARE)))
        self._spool_rest()
        given_up = self._buffer.abandon()
        self._stopping.set()
        self._buffer.wake_all(len(self._threads))
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._spool is not None:
            self._spool.close(max(0.0, deadline - time.monotonic()))
        if given_up:
            self._notice.say_now(
                f"{given_up} events were given up after {timeout} s: Redis did not confirm them{self._spool_trouble}"
            )
        return not given_up

    @property
    def counters(self) -> BufferCounters:
        """What became of all events so far: accepted by Redis, still buffered, dropped."""
        return self._buffer.counters()

    def report(self) -> ProducerReport:
        """What this producer tells Redis about itself."""
        counters = self._buffer.counters()
        return ProducerReport(
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            service=self.settings.service_name,
            accepted_events=counters.accepted_events,
            buffered_events=counters.buffered_events,
            buffered_bytes=counters.buffered_bytes,
            dropped_events=counters.dropped_events,
            dropped_by_kind=counters.dropped_by_kind,
            spooled_events=counters.spooled_events,
            spool_bytes=0 if self._spool is None else self._spool.held_bytes(),
        )

    def _begin(self) -> None:
        """Make all that belongs to one process; again in a forked child, where the parent's threads do not exist."""
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._buffer = EventBuffer(
            self.settings.buffer_max_bytes,
            min(MAX_FRAME_BYTES, self.settings.queue_max_bytes) - FRAME_OVERHEAD_BYTES,
        )
        if self._spool is not None:
            self._spool.close_in_child()
        self._spool = self._new_spool()
        self._spool_trouble = ""
        self._path = RedisPath()
        self._notice = StderrNotice()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._threads: tuple[threading.Thread, ...] = ()

    def _start(self) -> None:
        """Start the threads, unless another caller is at it; what they cannot be started for waits for `close`."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            if not self._threads and not self._stopping.is_set():
                started: list[threading.Thread] = []
                with contextlib.suppress(RuntimeError):  # no thread to be had now, or none any more
                    for index in range(self.settings.thread_pool_size):
                        sender = self._sender(self._say_report if index == 0 else None)
                        thread = threading.Thread(target=sender.run, name=f"log_events-{index}", daemon=True)
                        thread.start()
                        started.append(thread)
                self._threads = tuple(started)
                _close_with_multiprocessing(self)
        finally:
            self._starting.release()

    def _sender(self, report: Callable[[EventQueue], None] | None = None) -> FrameSender:
        share = SenderShare(self.settings, self._buffer, self._path, self._spool, self._notice, self._stopping)
        return FrameSender(share, self._tell, report)

    def _drain(self, timeout_seconds: float) -> None:
        if self._threads:
            self._buffer.flush(timeout_seconds)
        elif not self._buffer.is_empty:
            self._sender().drain(timeout_seconds)

    def _new_spool(self) -> Spool | None:
        folder = self.settings.spool_folder
        return None if folder is None else Spool(Path(folder), self.settings.spool_max_bytes)

    def _spool_rest(self) -> None:
        """Write into the spool what is still buffered; what is on its way to Redis may then arrive twice."""
        if self._spool is None:
            return
        try:
            for batch in self._buffer.take_all():
                self._spool.append(*frame_of(batch))
                self._buffer.settle(batch, is_spooled=True)
        except SpoolError as exc:
            self._spool_trouble = f", and {exc}"

    def _tell(self, *, is_last: bool = False) -> None:
        """Log what went wrong here: events that were dropped, and what was damaged in the spool."""
        self._buffer.tell_drops(self._encoded_drops, is_last=is_last)
        if self._spool is not None and (cut_bytes := self._spool.take_cut_bytes()):
            event = spool_cut_event(cut_bytes, self.settings.service_name, socket.gethostname())
            self._notice.say(event.message)
            self._buffer.put(encode_event(event), event.level)

    def _encoded_drops(self, dropped: DroppedEvents) -> bytes:
        event = dropped.event(self.settings.service_name, socket.gethostname())
        return encode_event(self.redactor.event(event))

    def _say_report(self, queue: EventQueue) -> None:
        report = self.report()
        if self._stopping.is_set() and not report.dropped_events:
            queue.forget_producer(report.name)
        else:
            queue.report(report)


def default_producer() -> Producer:
    """
    The process's one producer for whoever is not given another, made from the environment when first asked for.

    Raises:
        ValueError: The environment is wrong; the message names all faults and no secret.
    """
    return _default.producer()


def usable_default_producer() -> Producer | None:
    """`default_producer` for those who must not raise: None where the environment is wrong, which stderr then says."""
    return _default.producer_or_none()


class _DefaultProducer:
    def __init__(self) -> None:
        self._producer: Producer | None = None
        self._notice = StderrNotice()
        self._retry_at = 0.0
        self.begin_in_child()

    def begin_in_child(self) -> None:
        self._lock = threading.RLock()  # a new one: a thread of the parent may have held it

    def producer(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = Producer.from_environment()
            return self._producer

    def producer_or_none(self) -> Producer | None:
        if time.monotonic() < self._retry_at:
            return None
        try:
            return self.producer()
        except ValueError as exc:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._notice.say(f"{exc}; log events are lost until that is put right")
            return None


_default = _DefaultProducer()


def _close_all() -> None:
    for producer in list(_open_producers):
        producer.close()


def _begin_in_child() -> None:
    _default.begin_in_child()
    for producer in list(_open_producers):
        producer._begin()  # noqa: SLF001 - this module's own class


def _close_with_multiprocessing(producer: Producer) -> None:
    """Children of multiprocessing end by `os._exit`, past atexit; the library has finalizers of its own for them."""
    if (multiprocessing := sys.modules.get("multiprocessing.util")) is not None:
        multiprocessing.Finalize(producer, producer.close, exitpriority=-1)


atexit.register(_close_all)
os.register_at_fork(after_in_child=_begin_in_child)
