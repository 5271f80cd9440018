"""Every Redis key of the queue in one place.  All share one hash tag: one slot of a Redis Cluster."""

from dataclasses import dataclass

GROUP = "log-writers"
"""The consumer group of all workers."""


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of the queue named *name*."""

    name: str = "logs_queue"

    @property
    def list(self) -> str:
        """The door for producers in any language: ``LPUSH logs_queue '<json>'``."""
        return self.name

    @property
    def stream(self) -> str:
        """The stream that workers read: frames from producers, and list events carried over."""
        return f"{{{self.name}}}:stream"

    @property
    def events(self) -> str:
        """How many events the stream holds: an integer kept by the scripts."""
        return f"{{{self.name}}}:events"

    @property
    def bytes(self) -> str:
        """How many payload bytes the stream holds: an integer kept by the scripts."""
        return f"{{{self.name}}}:bytes"

    @property
    def generation(self) -> str:
        """A random value as old as the stream; tells equal entry ids of two streams apart."""
        return f"{{{self.name}}}:generation"

    @property
    def accepted(self) -> str:
        """A hash of how many events were ever accepted, by ``<hour since 1970>:<kind>``."""
        return f"{{{self.name}}}:accepted"

    @property
    def waiting(self) -> str:
        """A hash of how many of them are still in the stream, by the same fields."""
        return f"{{{self.name}}}:waiting"

    @property
    def pruned(self) -> str:
        """The hour since 1970 before which hours may be missing in `accepted`, because all was accounted for."""
        return f"{{{self.name}}}:pruned_before"

    @property
    def workers(self) -> str:
        """A hash of heartbeats, worker's name to ``<ms> <json>``."""
        return f"{{{self.name}}}:workers"

    @property
    def producers(self) -> str:
        """A hash of producers' reports, producer's name to ``<ms> <json>``."""
        return f"{{{self.name}}}:producers"
