"""Frames that Redis does not take now, kept on disk until it does: the spool of one process in a shared folder."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from log_events.spool_folder import SpoolFolder
from log_events.spool_record import SpooledFrame, pack_record
from log_events.spool_segment import START, SUFFIX, SegmentReader, SegmentWriter

SEGMENT_BYTES = 8 * 1024 * 1024
"""A segment that has grown to this size gets no more frames: it is removed as one."""
ADOPTION_SECONDS = 5.0
"""How often an idle process looks for segments that others left behind."""


class SpoolError(Exception):
    """The spool did not take the frame, or could not be read: nothing was changed; the message says why."""


class SpoolFullError(SpoolError):
    """The folder holds as much as it may."""


class Spool:
    """
    Appends frames to segments of its own, and hands out the oldest frame of the folder that no other process has.

    A segment is locked while it is written or read; what a dead process leaves is therefore free for the next one.
    Usable from any thread; made anew in a forked child, after the old one's `close_in_child`.

    Args:
        max_bytes: Most that all segments of the folder may take together, of all processes.
    """

    def __init__(self, folder: Path, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = SpoolFolder(folder)
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer: SegmentWriter | None = None
        self._reader: SegmentReader | None = None
        self._look_at = 0.0
        self._cut_bytes = 0

    def append(self, frame: bytes, events: int, llm_logs: int = 0) -> None:
        """
        Have *frame* of *events* events, *llm_logs* of them LLM logs, on the disk, synced, when this returns.

        Raises:
            SpoolFullError: The folder holds as much as it may.
            SpoolError: The folder or its disk do not take it.
        """
        record = pack_record(frame, events, llm_logs)
        with self._writing:
            try:
                with self._folder.locked():
                    if self._folder.held_bytes(SUFFIX) + self._needed_bytes(record) > self._max_bytes:
                        raise SpoolFullError(f"the spool holds {self._max_bytes} bytes, as much as it may")
                    writer = self._writer_now()
                    writer.append(record)
                writer.sync()
            except OSError as exc:
                self._seal()
                raise SpoolError(f"the spool cannot be written ({_reason(exc)})") from exc
            if writer.size_bytes >= self._segment_bytes:
                self._seal()
            self._look_at = 0.0

    def deliver_next(self, deliver: Callable[[bytes, int, int], None]) -> bool:
        """
        Call *deliver* with the oldest frame and its numbers of events and of LLM logs; once it returns, forget them.

        False where there is none, or where another thread is at it.  What *deliver* raises passes through, and the
        frame stays the oldest.

        Raises:
            SpoolError: The folder cannot be read.
        """
        if not self._reading.acquire(blocking=False):
            return False
        try:
            with self._readable():
                oldest = self._oldest()
            if oldest is None:
                return False
            deliver(oldest.frame, oldest.events, oldest.llm_logs)
            with self._readable():
                if self._reader is not None:
                    self._reader.advance()
            return True
        finally:
            self._reading.release()

    @property
    def may_have_frames(self) -> bool:
        """Whether `deliver_next` is worth a try now: costs nothing to ask."""
        return self._reader is not None or time.monotonic() >= self._look_at

    def held_bytes(self) -> int:
        """What all segments of the folder take now; 0 where that cannot be known."""
        try:
            return self._folder.held_bytes(SUFFIX)
        except OSError:
            return 0

    def take_cut_bytes(self) -> int:
        """How many damaged or torn bytes were left out since the last call."""
        cut_bytes, self._cut_bytes = self._cut_bytes, 0
        return cut_bytes

    def close(self, timeout_seconds: float) -> None:
        """Let go of all files, so that another process may deliver them at once; those in use meanwhile are kept."""
        deadline = time.monotonic() + timeout_seconds
        if self._writing.acquire(timeout=max(0.0, timeout_seconds)):
            self._seal()
            self._writing.release()
        if self._reading.acquire(timeout=max(0.0, deadline - time.monotonic())):
            if self._reader is not None:
                self._folder.release(self._reader.descriptor)
                self._reader = None
            self._reading.release()

    def close_in_child(self) -> None:
        """Give back to the parent what a forked child has copies of; not to be used after that."""
        self._folder.close_in_child()

    def _needed_bytes(self, record: bytes) -> int:
        return len(record) if self._writer is not None else len(record) + START

    def _writer_now(self) -> SegmentWriter:
        if self._writer is None:
            path = self._folder.path / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
            descriptor = self._folder.create(path)
            try:
                self._writer = SegmentWriter(descriptor, path)
            except OSError:
                self._folder.release(descriptor)
                path.unlink(missing_ok=True)
                raise
        return self._writer

    def _seal(self) -> None:
        """Write no more into the segment at hand, and let anyone deliver it.  Needs `_writing`."""
        writer, self._writer = self._writer, None
        if writer is not None:
            if writer.is_empty:
                with suppress(OSError):
                    writer.path.unlink()
            self._folder.release(writer.descriptor)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            self._look_at = time.monotonic() + ADOPTION_SECONDS
            raise SpoolError(f"the spool cannot be read ({_reason(exc)})") from exc

    def _oldest(self) -> SpooledFrame | None:
        while (reader := self._reader or self._open_oldest()) is not None:
            if (oldest := reader.peek()) is not None:
                return oldest
            self._remove(reader)
        return None

    def _open_oldest(self) -> SegmentReader | None:
        if time.monotonic() < self._look_at:
            return None
        with self._writing:
            if self._folder.path.exists():
                with self._folder.locked():
                    self._reader = self._take_oldest()
            if self._reader is None:
                self._look_at = time.monotonic() + ADOPTION_SECONDS
        return self._reader

    def _take_oldest(self) -> SegmentReader | None:
        own = self._writer.path if self._writer is not None else None
        for path in self._folder.files(SUFFIX):
            if path == own:
                self._seal()  # nothing older is to be had: deliver it, and begin another one
            if (descriptor := self._folder.take(path)) is not None:
                return SegmentReader(descriptor, path)
        return None

    def _remove(self, reader: SegmentReader) -> None:
        self._cut_bytes += reader.cut_bytes
        self._reader = None
        try:
            reader.path.unlink(missing_ok=True)
        finally:
            self._folder.release(reader.descriptor)


def _reason(exc: OSError) -> str:
    return f"{type(exc).__name__}: {exc.strerror or exc}"
