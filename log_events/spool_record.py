"""One frame on disk, and how to tell whether it is whole: mark, length, numbers of events, CRC-32, frame."""

import struct
import zlib
from typing import NamedTuple

MARK = b"\xf1\x00HF"
"""Begins every record; after damage the next record is looked for by it."""
_HEAD = struct.Struct(">4sIIII")
HEAD_BYTES = _HEAD.size
_NUMBERS = struct.Struct(">III")


class SpooledFrame(NamedTuple):
    """A frame as it is in a segment."""

    frame: bytes
    events: int
    llm_logs: int
    """How many of the events."""
    end: int
    """Where in its segment the next record begins."""


def pack_record(frame: bytes, events: int, llm_logs: int) -> bytes:
    """The bytes that `read_record` turns back into *frame*."""
    return _HEAD.pack(MARK, len(frame), events, llm_logs, _checksum(frame, events, llm_logs)) + frame


def read_record(content: bytes, at: int, offset: int = 0) -> SpooledFrame | None:
    """The whole record at *at* of *content*, a segment's bytes from *offset* on; None where there is none."""
    if len(content) - at < HEAD_BYTES:
        return None
    mark, length, events, llm_logs, checksum = _HEAD.unpack_from(content, at)
    frame = content[at + HEAD_BYTES : at + HEAD_BYTES + length]
    if mark != MARK or len(frame) != length or _checksum(frame, events, llm_logs) != checksum:
        return None
    return SpooledFrame(frame, events, llm_logs, offset + at + HEAD_BYTES + length)


def record_bytes(head: bytes) -> int:
    """How long the record with this head would be; 0 where *head* is not one."""
    if len(head) < HEAD_BYTES:
        return 0
    mark, length, _, _, _ = _HEAD.unpack(head)
    return HEAD_BYTES + int(length) if mark == MARK else 0


def _checksum(frame: bytes, events: int, llm_logs: int) -> int:
    return zlib.crc32(frame, zlib.crc32(_NUMBERS.pack(len(frame), events, llm_logs)))
