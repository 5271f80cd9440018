"""One file of the spool: written by one process at its end, or read by one from its beginning."""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from log_events.spool_record import HEAD_BYTES, MARK, SpooledFrame, read_record, record_bytes

SUFFIX = ".spool1"
"""The 1 is the version of this format; files of another version are left alone."""
_PROGRESS = struct.Struct(">QI")
"""Where the first undelivered record begins, and a CRC-32 of that."""
_MAGIC = b"HHSPOOL1"
START = len(_MAGIC) + _PROGRESS.size


class SegmentWriter:
    """Appends records to the new file behind *descriptor*."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path
        self.size_bytes = 0
        self._is_listed = False
        self.append(_MAGIC + _progress(START))

    @property
    def is_empty(self) -> bool:
        """Whether no record was written."""
        return self.size_bytes <= START

    def append(self, content: bytes) -> None:
        """
        Write *content* whole, or take back what was written of it.

        Raises:
            OSError: Nothing of it is in the file, or the file is not to be written any more.
        """
        written = 0
        try:
            while written < len(content):
                written += os.pwrite(self.descriptor, content[written:], self.size_bytes + written)
        except OSError:
            with suppress(OSError):  # then a torn record stays, which a reader recognises
                os.ftruncate(self.descriptor, self.size_bytes)
            raise
        self.size_bytes += written

    def sync(self) -> None:
        """Have everything written so far, and the file's name, on the disk."""
        os.fsync(self.descriptor)
        if not self._is_listed:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._is_listed = True


class SegmentReader:
    """
    Reads the file behind *descriptor* from its first undelivered record on.

    Damage is skipped: what lies between two whole records, or behind the last one, is counted and left out.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path
        self.cut_bytes = 0
        """Bytes that were no whole record: damaged, or torn by the death of their writer and never accepted."""
        self._size_bytes = os.fstat(descriptor).st_size
        self._offset = self._first_undelivered()
        self._next: SpooledFrame | None = None

    def peek(self) -> SpooledFrame | None:
        """The oldest undelivered frame; None at the end."""
        if self._next is None and self._offset < self._size_bytes:
            self._next = self._read() or self._next_whole()
        return self._next

    def advance(self) -> None:
        """The frame that `peek` shows is delivered: go on, and have whoever reads the file next know it."""
        if self._next is not None:
            self._offset = self._next.end
            self._next = None
            # Not synced: after the death of the machine some frames are sent again, and recognised.
            os.pwrite(self.descriptor, _progress(self._offset), len(_MAGIC))

    def _first_undelivered(self) -> int:
        head = os.pread(self.descriptor, START, 0)
        if len(head) == START and head.startswith(_MAGIC):
            offset, _ = _PROGRESS.unpack_from(head, len(_MAGIC))
            if head == _MAGIC + _progress(offset) and START <= offset <= self._size_bytes:
                return int(offset)
        return min(START, self._size_bytes)

    def _read(self) -> SpooledFrame | None:
        length = record_bytes(os.pread(self.descriptor, HEAD_BYTES, self._offset))
        if not length or self._offset + length > self._size_bytes:
            return None
        return read_record(os.pread(self.descriptor, length, self._offset), 0, self._offset)

    def _next_whole(self) -> SpooledFrame | None:
        rest = os.pread(self.descriptor, self._size_bytes - self._offset, self._offset)
        at = rest.find(MARK, 1)
        while at >= 0:
            if found := read_record(rest, at, self._offset):
                self.cut_bytes += at
                return found
            at = rest.find(MARK, at + 1)
        self.cut_bytes += len(rest)
        self._offset = self._size_bytes
        return None


def _progress(offset: int) -> bytes:
    number = offset.to_bytes(8, "big")
    return number + zlib.crc32(number).to_bytes(4, "big")
