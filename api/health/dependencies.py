"""How checks reach what they check: fresh connections with short time-outs, so that each call proves anew."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.bounded_connection import LIBPQ_LEAST_CONNECT_SECONDS, BoundedConnection
from api.health.thresholds import CHECK_SECONDS, REDIS_SECONDS, STATEMENT_MS
from api.replica_watch import ReplicaWatch
from api.settings import ApiSettings
from log_events.event_queue import EventQueue

_BEGIN = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL TimeZone = 'UTC'"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the checks of one process look at."""

    settings: ApiSettings
    queue: EventQueue
    replica: ReplicaWatch | None = None

    @contextmanager
    def logs_database(self) -> Iterator[BoundedConnection]:
        """A connection to the logs database, in a read-only transaction, in UTC."""
        with _transaction(self.settings.logs_database_url) as connection:
            yield connection

    @contextmanager
    def main_database(self) -> Iterator[BoundedConnection]:
        """A connection to the business database, in a read-only transaction, in UTC."""
        with _transaction(self.settings.database_url) as connection:
            yield connection


def probing_redis(url: SecretStr) -> redis.Redis:
    """A client that tries once, waits briefly and connects at its first command."""
    return redis.Redis.from_url(
        url.get_secret_value(),
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
        client_name="headhunter-api",
    )


@contextmanager
def _transaction(url: SecretStr) -> Iterator[BoundedConnection]:
    connection = BoundedConnection.connect(
        url.get_secret_value(),
        autocommit=True,
        # A pooler may hand the next statement to another server process.
        prepare_threshold=None,
        application_name="headhunter-api-health",
        connect_timeout=LIBPQ_LEAST_CONNECT_SECONDS,
    )
    try:
        connection.deadline = time.monotonic() + CHECK_SECONDS
        # Inside the transaction, not at the start-up of the session: poolers refuse that.
        connection.execute(_BEGIN)
        yield connection
    finally:
        # Ends the transaction too, and needs no answer from the server.
        connection.close()
