"""Milliseconds of a start that finds the logs database at its head, beside one SELECT 1 on a new connection."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer

STARTS = 200


def main() -> None:
    """Print p50 and p95 of both, and whether Alembic was imported or a lock taken."""
    with tempfile.TemporaryDirectory() as folder, PostgresServer.start(Path(folder) / "postgres") as postgres:
        url = postgres.create_database("logs")
        _upgrade_in_a_child(url)
        floor = _milliseconds(lambda: _select_one(url))
        start = _milliseconds(lambda: upgrade_to_head(ENVIRONMENT, url))
        with psycopg.connect(postgres.superuser_url) as connection:
            (locks,) = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() or (
                0,
            )
    print(f"  SELECT 1 on a new connection: p50 {floor[0]:.1f} ms, p95 {floor[1]:.1f} ms")
    print(f"  start at head:                p50 {start[0]:.1f} ms, p95 {start[1]:.1f} ms")
    print(f"  advisory locks held: {locks}; Alembic imported: {'alembic' in sys.modules}")


def _upgrade_in_a_child(url: str) -> None:
    """Bring the database to head elsewhere, so that nothing of Alembic is loaded here."""
    code = "import sys; from logs_db.environment import ENVIRONMENT; from migrator.upgrade import upgrade_to_head; "
    subprocess.run([sys.executable, "-c", code + "upgrade_to_head(ENVIRONMENT, sys.argv[1])", url], check=True)


def _select_one(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")


def _milliseconds(action: Callable[[], object]) -> tuple[float, float]:
    durations = []
    for _ in range(STARTS):
        started = time.perf_counter()
        action()
        durations.append((time.perf_counter() - started) * 1000)
    return statistics.median(durations), statistics.quantiles(durations, n=20)[-1]
