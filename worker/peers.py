"""Which code the other workers run, as their heartbeats tell."""

from collections.abc import Callable

import msgspec
import redis

from log_events.event_queue import EventQueue
from migrator.errors import TemporaryError

SILENT_SECONDS = 10.0
"""A worker that has not sent a heartbeat for longer has ended, or is cut off from its work."""


def running_heads(queue: EventQueue, own_name: str | None = None) -> Callable[[], set[str]]:
    """
    Return a function that tells the heads of the code of all workers that are at work, but the one of *own_name*.

    One that is still bringing the schema to its head is not at work: it looks at the schema again before it is.  Of a
    release that did not tell its head, the revision that it sees counts.  The function raises TemporaryError while
    Redis is away.
    """

    def heads() -> set[str]:
        try:
            seen = queue.heartbeats()
        except (redis.RedisError, msgspec.MsgspecError) as exc:
            raise TemporaryError(f"Redis does not tell the workers' heartbeats ({type(exc).__name__})") from exc
        return {
            head
            for one in seen
            if one.age_seconds <= SILENT_SECONDS
            and one.report.state != "upgrading"
            and one.report.name != own_name
            and (head := one.report.head or one.report.revision)
        }

    return heads
