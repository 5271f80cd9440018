"""Redis clients with time-outs and retries of our own choice: the library's defaults hide a dead server for seconds."""

# The first look-up of a host's name imports this codec, in the sending thread: a process forked in that moment would
# inherit half a module, and could never connect ("unknown encoding: idna").
import encodings.idna  # noqa: F401
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry


def redis_client(
    url: str, *, connect_timeout_seconds: float, answer_timeout_seconds: float, connections: int = 1
) -> redis.Redis:
    """
    A client that answers in bytes, tries once, and opens its first connection when it is first used.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; ``socket_timeout`` and the like in its query win.
        connect_timeout_seconds: For each address that the host's name stands for.
        answer_timeout_seconds: Must exceed the BLOCK of a blocking read.
        connections: Most connections at a time; one more raises `redis.exceptions.MaxConnectionsError`.

    Raises:
        ValueError: The URL is malformed; the message may hold parts of it, so do not show it.
    """
    preferred: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout_seconds,
        "socket_timeout": answer_timeout_seconds,
        "socket_keepalive": True,
    }
    # The library leaves its parser of URLs without types.
    options = preferred | dict(parse_url(url))  # type: ignore[no-untyped-call]
    if options.get("connection_class") is redis.UnixDomainSocketConnection:
        options.pop("socket_keepalive")
    options.pop("protocol", None)  # naming it changes the shape of replies
    options |= {
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": connections,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    return redis.Redis(connection_pool=redis.ConnectionPool(**options))
