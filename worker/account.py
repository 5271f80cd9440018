"""What became of each event of a batch, counted by stream entry and kind, as the ledger keeps it."""

from collections import defaultdict
from typing import Literal

from log_events.kinds import KINDS, Kind
from log_events.wire import LogEvent
from logs_db.ledger import EntryKey, LedgerRow
from worker.entry import Entry
from worker.tables import TABLES

Outcome = Literal["written", "deduplicated", "dead"]

_KIND_OF: dict[type[LogEvent], Kind] = {table.struct: table.event_type for table in TABLES}


class Account:
    """Counts outcomes; `rows` are what the ledger takes."""

    def __init__(self) -> None:
        self._counts: dict[tuple[EntryKey, Kind], dict[Outcome, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, entry: Entry, kind: Kind, outcome: Outcome, events: int = 1) -> None:
        """Count *events* of *entry*."""
        if events:
            self._counts[entry.key, kind][outcome] += events

    def add_dead_entry(self, entry: Entry) -> None:
        """Count all events that the door counted for *entry*, none of which could be read."""
        for kind in KINDS:
            self.add(entry, kind, "dead", entry.counts.of(kind))

    def rows(self) -> list[LedgerRow]:
        """The counts, in key order, so that two workers never wait for one another in a circle."""
        return [
            LedgerRow(*key, kind, counts["written"], counts["deduplicated"], counts["dead"])
            for (key, kind), counts in sorted(self._counts.items())
        ]

    def total(self, outcome: Outcome) -> int:
        """How many events had *outcome*."""
        return sum(counts[outcome] for counts in self._counts.values())


def kind_of(entry: Entry, raw: bytes, event: LogEvent | None, event_type: str | None) -> Kind:
    """The kind under which the door counted an event: by the look of its bytes in the list, by its type in a frame."""
    at_door = entry.kind_at_door(raw)
    if at_door is not None:
        return at_door
    if event is not None:
        return _KIND_OF[type(event)]
    return next((kind for kind in KINDS if kind == event_type), "other")
