"""Whether what a lane has in hand is still to be written, or a peer that took it over has done so meanwhile."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import redis

from log_events.event_queue import EventQueue
from logs_db.ledger import EntryKey
from worker.entry import Entry


class EntriesGoneError(Exception):
    """
    Some entries are pending no more, so a peer may have written and counted them, though the ledger has forgotten it.

    Nothing was written.  Write again, and count what is there already for nothing.
    """

    def __init__(self, keys: AbstractSet[EntryKey]) -> None:
        super().__init__(f"{len(keys)} entries are pending no more")
        self.keys = keys


class Holds:
    """
    What the entries of one lane are pending for.

    Args:
        queue: Over the lane's own connection.
    """

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue

    def gone_of(self, entries: Sequence[Entry]) -> AbstractSet[EntryKey]:
        """Those of *entries* that are pending no more; all of them where Redis does not say."""
        try:
            gone = self._queue.gone(entry.id for entry in entries)
        except redis.RedisError:
            return {entry.key for entry in entries}
        return {entry.key for entry in entries if entry.id in gone}


def nothing_gone(_: Sequence[Entry]) -> AbstractSet[EntryKey]:
    """For entries that nobody else can have."""
    return frozenset()
