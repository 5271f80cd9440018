"""The two servers of the matrix: durable, killed with all their processes, started again on the same data."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import redis

from benchmarks.matrix.points import Victim
from log_events.event_queue import EventQueue
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from servers.valkey import RedisServer


class Stage:
    """
    A PostgreSQL with a logs database at its head, and a Redis; a context manager that stops them.

    Args:
        appendfsync: What Redis is told; PostgreSQL has fsync and synchronous_commit on.
    """

    def __init__(self, folder: Path, appendfsync: str = "always") -> None:
        self.folder = folder
        self._appendfsync = appendfsync
        self._postgres = PostgresServer.start(folder / "postgres")
        self._redis = RedisServer.start(folder / "redis")
        self._dead: set[Victim] = set()
        self.database_url = self._postgres.create_database("logs")
        upgrade_to_head(ENVIRONMENT, self.database_url)
        self._set_appendfsync()

    @property
    def redis_url(self) -> str:
        """The URL of the queue's server."""
        return self._redis.url

    def clear(self) -> None:
        """Empty the queue: another stream, another generation of the ledger."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()
            EventQueue(client).ensure_group()

    def strike(self, victim: Victim) -> None:
        """SIGKILL all processes of one server, and return at once."""
        process = self._postgres.process if victim == "postgres" else self._redis.process
        # PostgreSQL's processes are leaders of groups of their own; without the first one no further ones come.
        pids = [process.pid, *_children(process.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._dead.add(victim)

    def revive(self) -> None:
        """Start the dead servers again, on their data and their ports."""
        if "redis" in self._dead:
            self._redis.kill()
            self._redis = RedisServer.start(self.folder / "redis", port=self._redis.port)
            self._set_appendfsync()
        if "postgres" in self._dead:
            self._postgres.kill()
            self._postgres = PostgresServer.start(self.folder / "postgres", port=self._postgres.port)
        self._dead.clear()

    def settings(self) -> dict[str, str]:
        """What the servers say of their durability."""
        with psycopg.connect(self.database_url) as connection, redis.Redis.from_url(self.redis_url) as client:
            names = ("fsync", "synchronous_commit", "full_page_writes")
            found = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in names}
            answer: dict[str, str] = client.config_get("append*")
        told = {name: row[0] for name, row in found.items() if row is not None}
        return told | {name: answer[name] for name in ("appendonly", "appendfsync")}

    def __enter__(self) -> Self:
        """Return the running stage."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both servers."""
        self._redis.stop()
        self._postgres.stop()

    def _set_appendfsync(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.config_set("appendfsync", self._appendfsync)


def _children(pid: int) -> Iterable[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
