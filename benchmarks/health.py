"""
Makes each documented trouble in turn and asks health of it: verdict, what it says, seconds until it says so.

Real processes: PostgreSQL, Valkey, a worker, the API.  "seen" is from the trouble to the first answer that tells of
it, asked without a pause; "answer" is how long that one answer took.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks.ingest.events import EVENTS_PER_FRAME, make_events, make_frames
from log_events.event_queue import EventQueue, QueueFullError
from logs_db.environment import ENVIRONMENT as LOGS
from main_db.environment import ENVIRONMENT as MAIN
from migrator.upgrade import upgrade_to_head
from servers.ports import free_port
from servers.postgres import PostgresServer
from servers.valkey import RedisServer

TOKEN = "benchmark-token"  # noqa: S105 - of an API that lives for some seconds
PATIENCE_SECONDS = 40.0
QUEUE_BYTES = 1 << 20
Health = dict[str, Any]


@dataclass
class System:
    """The running system, with its databases on servers of their own so that each can go away alone."""

    logs_server: PostgresServer
    main_server: PostgresServer
    redis_server: RedisServer
    logs_url: str
    worker: subprocess.Popen[bytes]
    api_port: int

    def ask(self) -> tuple[int, Health, float]:
        """Status code, body and seconds of one answer of health."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api_port}/api/v1/admin/health", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        started = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                code, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            code, body = error.code, error.read()
        return code, json.loads(body), time.monotonic() - started

    def await_check(self, name: str, statuses: set[str]) -> tuple[int, Health, float, float]:
        """Ask until the check *name* has one of *statuses*; code, the check, seconds of the answer and until then."""
        started = time.monotonic()
        while True:
            code, health, seconds = self.ask()
            check = health["checks"][name]
            if check["status"] in statuses:
                return code, check, seconds, time.monotonic() - started
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise TimeoutError(f"{name} stays {check} for {PATIENCE_SECONDS:g} s")


def main() -> None:
    """Make one trouble after another on one running system, and wait until all is well in between."""
    with tempfile.TemporaryDirectory() as folder, _system(Path(folder)) as system:
        for name, check, trouble in _troubles(system):
            system.await_check(check, {"pass"})
            with trouble():
                code, found, answer, seen = system.await_check(check, {"warn", "fail"})
            print(
                f"  {name:32} {code} {check} {found['status']:4}  seen {seen:5.2f} s  answer {answer:5.3f} s",
                flush=True,
            )
            print(f"  {'':32} {found['message']}", flush=True)


def _troubles(system: System) -> list[tuple[str, str, Callable[[], Any]]]:
    return [
        ("worker stopped (SIGSTOP)", "workers", lambda: _stopped(system.worker)),
        ("Redis hangs (SIGSTOP)", "queue", lambda: _stopped(system.redis_server.process)),
        ("logs database hangs (SIGSTOP)", "logs_database", lambda: _stopped(system.logs_server.process)),
        ("main database away", "main_database", lambda: _refusing(system.main_server)),
        ("logs database away", "logs_database", lambda: _refusing(system.logs_server)),
        ("an index dropped", "indexes", lambda: _index_dropped(system)),
        ("schema one revision behind", "logs_schema", lambda: _one_behind(system)),
        ("a full queue", "queue", lambda: _full_queue(system)),
    ]


@contextmanager
def _stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def _refusing(server: PostgresServer) -> Iterator[None]:
    """A database that nobody may connect to, whose connections are cut."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE product ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'product'")
        try:
            yield
        finally:
            connection.execute("ALTER DATABASE product ALLOW_CONNECTIONS true")


@contextmanager
def _index_dropped(system: System) -> Iterator[None]:
    with psycopg.connect(system.logs_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_get_indexdef('idx_system_logs_errors'::regclass)").fetchone()
        connection.execute("DROP INDEX idx_system_logs_errors")
        try:
            yield
        finally:
            connection.execute(str(row and row[0]).replace(" ON ONLY ", " ON "))


@contextmanager
def _one_behind(system: System) -> Iterator[None]:
    """The revision as it was before the last upgrade; the tables stay, so that it can be put back."""
    with psycopg.connect(system.logs_url, autocommit=True) as connection:
        row = connection.execute("SELECT version_num FROM logs_alembic_version").fetchone()
        connection.execute("UPDATE logs_alembic_version SET version_num = '3c2c33d5b745'")
        try:
            yield
        finally:
            connection.execute("UPDATE logs_alembic_version SET version_num = %s", row)


@contextmanager
def _full_queue(system: System) -> Iterator[None]:
    """A queue that takes no frame any more, because a stopped worker does not empty it."""
    with redis.Redis.from_url(system.redis_server.url) as client, _stopped(system.worker):
        queue = EventQueue(client)
        frame = make_frames(list(make_events(EVENTS_PER_FRAME)))[0]
        with suppress(QueueFullError):
            while True:
                queue.admit(frame, EVENTS_PER_FRAME, max_bytes=QUEUE_BYTES)
        yield


@contextmanager
def _system(folder: Path) -> Iterator[System]:
    with ExitStack() as stack:
        logs_server = stack.enter_context(PostgresServer.start(folder / "logs"))
        main_server = stack.enter_context(PostgresServer.start(folder / "main"))
        redis_server = stack.enter_context(RedisServer.start(folder / "redis"))
        logs_url, main_url = logs_server.create_database("product"), main_server.create_database("product")
        upgrade_to_head(LOGS, logs_url)
        upgrade_to_head(MAIN, main_url)
        port = free_port()
        environment = os.environ | {
            "LOGS_DATABASE_URL": logs_url,
            "DATABASE_URL": main_url,
            "REDIS_URL": redis_server.url,
            "ADMIN_TOKEN": TOKEN,
            "API_PORT": str(port),
            "LOGS_QUEUE_MAX_BYTES": str(QUEUE_BYTES),
        }
        worker = stack.enter_context(_process("worker", environment))
        stack.enter_context(_process("api", environment))
        system = System(logs_server, main_server, redis_server, logs_url, worker, port)
        _await_answer(system)
        yield system


@contextmanager
def _process(name: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "headhunter", name]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _await_answer(system: System) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            system.ask()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
