"""The moments at which somebody is killed."""

from dataclasses import dataclass
from typing import Literal

Scene = Literal["stream", "list", "claim", "spool", "drain"]
"""
What goes on around a point.  stream: a producer sends frames, a worker writes them.  list: events are pushed to the
list.  claim: the worker finds what a dead one left.  spool: the queue is full, so frames go to the disk.  drain: it was
full, and the disk is emptied.
"""
Side = Literal["producer", "worker"]
Victim = Literal["producer", "worker", "postgres", "redis"]

VICTIMS: tuple[tuple[Victim, ...], ...] = (
    ("producer",),
    ("worker",),
    ("postgres",),
    ("redis",),
    ("producer", "worker"),
    ("producer", "redis"),
    ("worker", "postgres"),
    ("worker", "redis"),
    ("postgres", "redis"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in the life of a producer or of a worker."""

    name: str
    side: Side
    scene: Scene
    most_passes: int = 2
    """At most at which pass through this point a process stops; each scene has at least so many."""
    lead_ms: float = 0.0
    """The process is let go first, and killed up to so many milliseconds later."""


AFTER_XADD = Point("after XADD", "producer", "stream", most_passes=3)
AFTER_LPUSH = Point("after LPUSH", "producer", "list", most_passes=9)
BEFORE_FSYNC = Point("spool: before fsync", "producer", "spool", most_passes=3)
AFTER_FSYNC = Point("spool: after fsync", "producer", "spool", most_passes=3)
DRAINING = Point("spool: draining, before XADD", "producer", "drain")
DRAINED = Point("spool: draining, after XADD", "producer", "drain")
AFTER_READ = Point("after read", "worker", "stream")
AFTER_CLAIM = Point("after claim", "worker", "claim", most_passes=1)
IN_COPY = Point("in COPY", "worker", "stream")
BEFORE_COMMIT = Point("before COMMIT", "worker", "stream")
AFTER_COMMIT = Point("after COMMIT", "worker", "stream")
BEFORE_ACKNOWLEDGEMENT = Point("before acknowledgement", "worker", "stream")
AFTER_ACKNOWLEDGEMENT = Point("after acknowledgement", "worker", "stream")
BEFORE_BRIDGE = Point("bridge: before its script", "worker", "list")
AFTER_BRIDGE = Point("bridge: after its script", "worker", "list")
CHECKED_COMMIT = Point("before COMMIT, redelivered", "worker", "claim", most_passes=1)
ANY_MOMENT = Point("any moment of a batch", "worker", "stream", lead_ms=20.0)
ANY_MOMENT_DRAINING = Point("any moment of draining", "producer", "drain", lead_ms=20.0)

POINTS = (
    AFTER_XADD,
    AFTER_LPUSH,
    BEFORE_FSYNC,
    AFTER_FSYNC,
    DRAINING,
    DRAINED,
    ANY_MOMENT_DRAINING,
    AFTER_READ,
    AFTER_CLAIM,
    IN_COPY,
    BEFORE_COMMIT,
    CHECKED_COMMIT,
    AFTER_COMMIT,
    BEFORE_ACKNOWLEDGEMENT,
    AFTER_ACKNOWLEDGEMENT,
    BEFORE_BRIDGE,
    AFTER_BRIDGE,
    ANY_MOMENT,
)
