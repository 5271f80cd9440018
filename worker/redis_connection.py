"""Connections to Redis as the worker's threads need them: without silent retries, for waiting is the lanes' trade."""

import redis

from log_events.redis_client import redis_client
from worker.receive import BLOCK_MS

CONNECT_TIMEOUT_SECONDS = 2.0
ANSWER_TIMEOUT_SECONDS = BLOCK_MS / 1000 + 5.0
"""Longer than a blocking read, or that would end as a time-out."""


def connect_redis(url: str) -> redis.Redis:
    """A client for one thread; it connects at its first command."""
    return redis_client(
        url, connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS, answer_timeout_seconds=ANSWER_TIMEOUT_SECONDS
    )
