"""Frames: how many events travel in one stream entry, checked by a CRC and versioned by the entry's field ``v``."""

import zlib
from collections.abc import Sequence

import msgspec

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent

LogEvent = SystemLogEvent | LlmLogEvent

WIRE_VERSION = b"1"
"""Value of the stream entry's field ``v`` for frames as this module writes them."""

MAX_FRAME_BYTES = 1024 * 1024
"""A frame grows to this size; a larger event travels alone."""

CRC_BYTES = 4
FRAME_OVERHEAD_BYTES = CRC_BYTES + 5
"""What a frame adds to the bytes of its events: checksum and array header."""

_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_events_decoder = msgspec.msgpack.Decoder(list[LogEvent])
_raws_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])


class FrameError(ValueError):
    """A frame is damaged: its CRC or its outer structure does not hold; nothing in it can be trusted."""


class EventError(ValueError):
    """One event of a sound frame breaks the contract; its neighbours are not touched."""


def encode_event(event: LogEvent) -> bytes:
    """The bytes of one event, to be gathered into a frame by `join_frame`."""
    return _encoder.encode(event)


def join_frame(encoded: Sequence[bytes]) -> bytes:
    """A frame of already encoded events: CRC-32, then a MessagePack array of them."""
    body = b"".join((_array_header(len(encoded)), *encoded))
    return with_checksum(body)


def with_checksum(body: bytes) -> bytes:
    """*body* after its CRC-32, as `checked_body` takes it."""
    return zlib.crc32(body).to_bytes(CRC_BYTES, "big") + body


def encode_frame(events: Sequence[LogEvent]) -> bytes:
    """A frame of *events*."""
    return join_frame([_encoder.encode(event) for event in events])


def decode_frame(frame: bytes) -> list[LogEvent]:
    """
    The events of a frame.

    Raises:
        FrameError: The CRC does not match.
        EventError: The frame is whole, but an event in it breaks the contract; take them one by one with `split_frame`.
    """
    try:
        return _events_decoder.decode(checked_body(frame))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise EventError(str(exc)) from exc


def split_frame(frame: bytes) -> list[bytes]:
    """
    The encoded events of a frame, undecoded.

    Raises:
        FrameError: The frame is not a MessagePack array with a matching CRC, or nested too deeply to be taken apart.
    """
    try:
        return [bytes(raw) for raw in _raws_decoder.decode(checked_body(frame))]
    except (msgspec.DecodeError, RecursionError) as exc:
        raise FrameError(str(exc)) from exc


def checked_body(frame: bytes) -> memoryview:
    """
    What follows the CRC-32 of *frame*.

    Raises:
        FrameError: The CRC does not match.
    """
    body = memoryview(frame)[CRC_BYTES:]
    if len(frame) <= CRC_BYTES or zlib.crc32(body) != int.from_bytes(frame[:CRC_BYTES], "big"):
        raise FrameError("the frame's checksum does not match its content")
    return body


def _array_header(length: int) -> bytes:
    """MessagePack's ``array 32`` header. Source: MessagePack specification, array format family."""
    return b"\xdd" + length.to_bytes(4, "big")
