"""A dead letter that came back: an entry of now, whose events are those that were accepted then."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from log_events.kinds import Kind
from log_events.replay_frame import REPLAY_VERSION, Replay, decode_replay
from worker.entry import Entry, Origin, derived_id


@dataclass(frozen=True, slots=True)
class ReplayedEntry(Entry):
    """
    The replay of a dead letter.

    The ledger counts it as the entry that it is.  Ids, times and verdicts are derived from the entry that brought its
    events first, so an event that is replayed twice, or at last redelivered, is one row.
    """

    replay: Replay = field(kw_only=True)

    @property
    def origin(self) -> Origin:
        """Where its events came in first."""
        replay = self.replay
        return Origin(replay.source, replay.entry_id, replay.generation, replay.frame_version)

    @property
    def first_index(self) -> int:
        """Place that the letter's event had."""
        return self.replay.entry_index or 0

    @property
    def accepted_at(self) -> datetime:
        """When they were accepted first."""
        return self.replay.accepted_at

    @property
    def is_from_list(self) -> bool:
        """Whether its events are JSON, as the list and the legacy tables had them."""
        return self.replay.source != "stream"

    def derived_id(self, kind: str, index: int | None, raw: bytes) -> UUID:
        """As if the entry that was first had been read; a letter of one event that fails again stays that letter."""
        replay = self.replay
        if kind == "dead_letter" and not replay.is_whole_frame:
            return replay.letter_id
        # Letters that are older than their column generation have no place but themselves, which is as lasting.
        known = replay.generation is not None and replay.entry_id is not None
        place = f"{replay.generation}/{replay.entry_id}" if known else f"letter/{replay.letter_id}"
        return derived_id(kind, place, index, raw)

    def kind_at_door(self, raw: bytes) -> Kind:
        """The kind under which the replay was counted."""
        return self.replay.kind_of(raw)

    def settles(self, outcome: str) -> bool:
        """Whether its letter is done with where one of its events had *outcome*: a dead one of a frame has its own."""
        return outcome != "dead" or self.replay.is_whole_frame


def opened(entry: Entry) -> Entry:
    """
    *entry*, as a `ReplayedEntry` where it is one.

    Raises:
        FrameError: It says that it is a replay, and cannot be read.
    """
    if entry.version != REPLAY_VERSION or entry.frame is None:
        return entry
    return ReplayedEntry(entry.id, entry.fields, entry.is_redelivered, replay=decode_replay(entry.frame))
