"""
Replays: a dead letter on its way back through the queue, with all that its events need to keep their identity.

A worker of a release that does not know `REPLAY_VERSION` makes another dead letter of it; the first one stays.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from log_events.kinds import Kind, KindCounts, kind_of_encoded, kind_of_pushed
from log_events.wire import FrameError, checked_body, with_checksum

REPLAY_VERSION = b"replay-1"
"""Value of the stream entry's field ``v`` for replays."""

Source = Literal["stream", "list", "legacy"]

# As narrow as the columns: whatever somebody else puts into the stream can be kept or is refused as a whole.
_Moment = Annotated[datetime, Meta(tz=True)]
_EntryId = Annotated[str, Meta(pattern=r"^[0-9]+-[0-9]+\Z", max_length=64)]
_Word = Annotated[str, Meta(pattern=r"^[^\x00]*\Z", max_length=32)]
_Index = Annotated[int, Meta(ge=0, le=2**31 - 1)]

_FIRST_YEAR, _LAST_YEAR = 1970, 9000
"""Of times of acceptance: a month more or less is still a time."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter, sent back.  The names are those of the columns of ``dead_letters``."""

    letter_id: UUID
    source: Source
    accepted_at: _Moment
    """When its event was accepted for the first time."""
    entry_id: _EntryId | None
    generation: _Word | None
    frame_version: _Word | None
    entry_index: _Index | None
    redates: bool
    """Whether an event whose time cannot be used is dated when it was accepted."""
    raws: list[bytes]
    """The event; of a whole frame all events."""

    @property
    def is_whole_frame(self) -> bool:
        """Whether the letter is a frame that could not be taken apart then."""
        return self.source == "stream" and self.entry_index is None

    @property
    def counts(self) -> KindCounts:
        """Its events by kind, as the door counts them."""
        kinds = [self.kind_of(raw) for raw in self.raws]
        return KindCounts(kinds.count("system_log"), kinds.count("llm_log"), kinds.count("other"))

    def kind_of(self, raw: bytes) -> Kind:
        """The kind under which one of its events is counted, by door and worker alike."""
        return kind_of_encoded(raw) if self.source == "stream" else kind_of_pushed(raw)


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode = msgspec.msgpack.Decoder(Replay).decode


def encode_replay(replay: Replay) -> bytes:
    """The frame of *replay*, for an entry of version `REPLAY_VERSION`."""
    return with_checksum(_encode(replay))


def decode_replay(frame: bytes) -> Replay:
    """
    The replay out of its frame.

    Raises:
        FrameError: The CRC does not match, or it is no replay.
    """
    try:
        replay = _decode(checked_body(frame))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise FrameError("it is no replay of a dead letter") from exc
    if not _FIRST_YEAR <= replay.accepted_at.year <= _LAST_YEAR:
        raise FrameError("it says that its event was accepted when there was no queue")
    return replay
