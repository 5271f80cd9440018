"""Connections to Redis as the worker's threads need them: without silent retries, for waiting is the lanes' trade."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.receive import BLOCK_MS

CONNECT_TIMEOUT_SECONDS = 2.0
READ_TIMEOUT_SECONDS = BLOCK_MS / 1000 + 5.0
"""Longer than a blocking read, or that would end as a time-out."""


def connect_redis(url: str) -> redis.Redis:
    """A client for one thread; it connects at its first command."""
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=READ_TIMEOUT_SECONDS,
        socket_keepalive=True,
        health_check_interval=0,
    )
