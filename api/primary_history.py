"""
How old a replica's data are: which position of the log the primary had reached when.

A replica that has replayed what the primary had written at a moment shows all that was committed until then.  The time
of the last replayed transaction tells less: on an idle primary it is old, though nothing is missing.
"""

from bisect import bisect_right

from logs_db.replication import ServerPosition


class PrimaryHistory:
    """
    The positions of a primary over the last *kept_seconds*.

    Moments are those of this process's monotonic clock, so that no clock of a server matters.
    """

    def __init__(self, kept_seconds: float) -> None:
        self._kept_seconds = kept_seconds
        self._moments: list[float] = []
        self._positions: list[int] = []
        self.latest: ServerPosition | None = None

    def note(self, asked_at: float, primary: ServerPosition) -> None:
        """*primary* is what it said to a question sent at *asked_at*, so all that was committed by then is in it."""
        if self.latest is not None and not _continues(self.latest, primary):
            self._moments.clear()
            self._positions.clear()
        self.latest = primary
        forgotten = bisect_right(self._moments, asked_at - self._kept_seconds)
        self._moments = [*self._moments[forgotten:], asked_at]
        self._positions = [*self._positions[forgotten:], primary.position]

    def as_of(self, position: int) -> float | None:
        """The latest moment of which it is certain that *position* has all of it; None: none of those kept."""
        reached = bisect_right(self._positions, position)
        return self._moments[reached - 1] if reached else None


def _continues(before: ServerPosition, after: ServerPosition) -> bool:
    """Whether it is the same primary as before; after a failover another one answers."""
    same = (before.system_identifier, before.database_oid, before.timeline)
    return same == (after.system_identifier, after.database_oid, after.timeline) and after.position >= before.position
