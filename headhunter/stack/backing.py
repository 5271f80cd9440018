"""The servers under the stack: PostgreSQL and Valkey, as far as the environment does not name others."""

import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from headhunter.stack.errors import StackError
from servers.postgres import PostgresServer
from servers.valkey import RedisServer

DATABASES = {"DATABASE_URL": "headhunter_db", "LOGS_DATABASE_URL": "headhunter_logs"}
#: In the demo PostgreSQL writes what a production server would, as JSON, into one file that is new at each start.
JSON_LOG_SETTINGS = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "log",
    "log_filename": "postgresql.log",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_connections": "on",
    "log_checkpoints": "on",
    "log_lock_waits": "on",
    "log_autovacuum_min_duration": "0",
    "log_min_duration_statement": "250ms",
}
_JSON_LOG = Path("data", "log", "postgresql.json")


@dataclass
class BackingServers:
    """The servers that we started, and the URLs of all three; a context manager that stops them."""

    urls: dict[str, str] = field(repr=False)
    json_log: Path | None = None
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    @classmethod
    def start(cls, folder: Path, given: Mapping[str, str], *, json_log: bool) -> Self:
        """
        Start in *folder* what *given* does not name, both servers at once.

        Raises:
            ServerError: One did not start; the other was stopped again.
        """
        servers = cls(urls={name: given[name] for name in (*DATABASES, "REDIS_URL") if name in given})
        with servers._stack as undo, ThreadPoolExecutor(max_workers=2) as pool:
            tasks = [pool.submit(servers._start_redis, folder / "valkey")] if "REDIS_URL" not in given else []
            missing = [name for name in DATABASES if name not in given]
            if missing:
                tasks.append(pool.submit(servers._start_postgres, folder / "postgres", missing, json_log=json_log))
            for task in tasks:
                task.result()
            servers._stack = undo.pop_all()
        return servers

    def _start_redis(self, folder: Path) -> None:
        server = self._stack.enter_context(RedisServer.start(folder))
        self.urls["REDIS_URL"] = server.url
        self._processes["Valkey"] = server.process

    def _start_postgres(self, folder: Path, missing: list[str], *, json_log: bool) -> None:
        if json_log:
            self.json_log = folder / _JSON_LOG
            self.json_log.unlink(missing_ok=True)
        settings = JSON_LOG_SETTINGS if json_log else None
        server = self._stack.enter_context(PostgresServer.start(folder, settings=settings))
        for name in missing:
            self.urls[name] = server.create_database(DATABASES[name])
        self._processes["PostgreSQL"] = server.process

    def check(self) -> None:
        """
        Return if all that we started still runs.

        Raises:
            StackError: One has ended by itself.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(f"{name} has ended by itself; its data are kept.  Start the stack again")

    def __enter__(self) -> Self:
        """Return the running servers."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what we started."""
        self._stack.close()
