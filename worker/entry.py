"""A stream entry as the worker received it, and what identifies the events in it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid5

from log_events.kinds import Kind, KindCounts, kind_of_pushed
from log_events.replay_frame import REPLAY_VERSION, Replay

EVENT_NAMESPACE = UUID("0195f3a2-6c1e-7d54-9b1e-2f6a7c3d8e90")
"""Namespace of the ids that are derived, of events without one and of dead letters."""


MOST_DIGITS = 7
"""Of a count of events in one entry."""

MOST_GENERATION = 32
"""Characters that a generation has, as the ledger's column."""


MOST_VERSION = 32
"""Characters that are kept of a frame's version, as dead letters do."""


@dataclass(frozen=True, slots=True)
class Origin:
    """By which door and in which entry an event came in first; what is derived for it is derived from this."""

    source: str
    entry_id: str | None
    generation: str | None
    frame_version: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream."""

    id: bytes
    fields: dict[bytes, bytes]
    is_redelivered: bool = False
    """True where this or another worker may have written its events already."""

    @property
    def key(self) -> tuple[int, int, str]:
        """What tells it from every other entry there ever was: milliseconds, number, generation."""
        milliseconds, _, number = self.id.partition(b"-")
        return int(milliseconds), int(number), self.generation

    @property
    def is_doubtful(self) -> bool:
        """Whether its events may be rows already: it was read before, or it is the replay of a dead letter."""
        return self.is_redelivered or self.version == REPLAY_VERSION

    @property
    def version(self) -> bytes | None:
        """Version of its frame; None where it came from the list."""
        return self.fields.get(b"v")

    @property
    def replay(self) -> Replay | None:
        """The dead letter that it brings back; only a `ReplayedEntry` brings one."""
        return None

    @property
    def first_index(self) -> int:
        """Place of the first of its events in the entry that brought them first."""
        return 0

    @property
    def origin(self) -> Origin:
        """Where its events came in first."""
        version = None if self.version is None else self.version.decode("latin-1").encode("unicode_escape").decode()
        source = "list" if self.is_from_list else "stream"
        return Origin(source, self.id.decode(), self.generation, version and version[:MOST_VERSION])

    @property
    def accepted_at(self) -> datetime:
        """When Redis took it in: the milliseconds of its id."""
        return datetime.fromtimestamp(int(self.id.partition(b"-")[0]) / 1000, tz=UTC)

    @property
    def counts(self) -> KindCounts:
        """How many events of each kind the scripts counted for it."""
        events, llm_logs, others = (self._number(name) for name in (b"n", b"l", b"o"))
        return KindCounts(max(events - llm_logs - others, 0), llm_logs, others)

    def _number(self, name: bytes) -> int:
        """A number that a script wrote; 0 where somebody else wrote what no script does."""
        count = self.fields.get(name, b"0")
        return int(count) if count.isdigit() and len(count) <= MOST_DIGITS else 0

    @property
    def generation(self) -> str:
        """Which of the streams that there ever were it came from."""
        name = self.fields.get(b"g", b"").decode(errors="replace")
        return name if name.isalnum() and len(name) <= MOST_GENERATION else ""

    @property
    def frame(self) -> bytes | None:
        """The frame of a producer; None where the entry came from the list."""
        return self.fields.get(b"z")

    @property
    def is_from_list(self) -> bool:
        """Whether the bridge made it."""
        return self.fields.get(b"src") == b"list"

    def list_events(self) -> list[bytes]:
        """The raw events of an entry that the bridge made, in the order in which they were pushed."""
        return [self.fields[index] for index in map(_field_name, range(self._number(b"n"))) if index in self.fields]

    @property
    def payload_bytes(self) -> int:
        """How many bytes the scripts counted for it."""
        return len(self.frame) if self.frame is not None else sum(map(len, self.list_events()))

    def derived_id(self, kind: str, index: int | None, raw: bytes) -> UUID:
        """An id, the same at each delivery, another for each event; *kind* is ``event`` or ``dead_letter``."""
        return derived_id(kind, f"{self.generation}/{self.id.decode()}", index, raw)

    def kind_at_door(self, raw: bytes) -> Kind | None:
        """The kind under which the door counted one of its events by its bytes alone; None: by its type."""
        return kind_of_pushed(raw) if self.is_from_list else None


def derived_id(kind: str, place: str, index: int | None, raw: bytes) -> UUID:
    """An id made of the *place* where an event came in first, the *index* in it, and its bytes."""
    return uuid5(EVENT_NAMESPACE, f"{kind}/{place}/{index}/{hashlib.sha256(raw).hexdigest()}")


def _field_name(index: int) -> bytes:
    return b"%d" % index
