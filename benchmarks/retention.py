"""
Drops a day of 1 million rows under ingest with a long reader open, beside DELETE: longest ingest stall <= 200 ms.

HEADHUNTER_BENCH_ROWS sets the rows of a day, HEADHUNTER_BENCH_POSTGRES the major version, HEADHUNTER_BENCH_RUNS how
often.  Durable server; 2 clients commit 100 rows each by COPY every 20 ms (10,000 rows/s together) into today.  A stall
is the longest such transaction that overlaps a phase, so what the machine's disk and other processes do is in it: the
phase "nobody else" shows how much that is.  The reader holds a snapshot from before the drop for 10 s; passes of
retention follow one another as a worker's do, a second apart instead of a minute.
"""

import array
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.conversion import MAJOR, ROOT
from benchmarks.ingest.postgres import start_without_checkpoints
from logs_db import retention
from logs_db.environment import ENVIRONMENT
from logs_db.partitions import ensure_days
from logs_db.retention_plan import Retention
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer

ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "1000000"))
RUNS = int(os.environ.get("HEADHUNTER_BENCH_RUNS", "3"))
CLIENTS = 2
KEPT = Retention(system_logs=30)
READER_SECONDS = 10.0
ALONE_SECONDS = 15.0
SETTLE_SECONDS = 3.0
"""Between phases, so that none is blamed for the one before; a phase includes its first second of that."""
GOAL_MS = 200.0
MEBIBYTE = 1024 * 1024

FILL = """
INSERT INTO system_logs (created_at, level, component, message, error_type, request_id)
SELECT %(day)s::date + n * interval '86 milliseconds', (ARRAY['INFO', 'WARNING', 'ERROR'])[1 + n %% 3],
       'component ' || n %% 50, repeat(md5(n::text), 8), CASE WHEN n %% 10 = 0 THEN 'E' || n %% 20 END, md5(n::text)
FROM generate_series(1, LEAST(%(rows)s, 1000000)) AS n, generate_series(1, GREATEST(1, %(rows)s / 1000000))
"""
CLIENT = """
import array, signal, sys, time, uuid
from datetime import datetime, timezone
import psycopg
stop, seen = [], array.array("d")
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
with psycopg.connect(sys.argv[1], autocommit=True) as connection, connection.cursor() as cursor:
    print("writing", flush=True)
    while not stop:
        begun = time.monotonic()
        with connection.transaction(), cursor.copy(
            "COPY system_logs (id, created_at, level, component, message) FROM STDIN"
        ) as copy:
            for _ in range(100):
                copy.write_row((uuid.uuid4(), datetime.now(timezone.utc), "INFO", "bench", "m" * 250))
        taken = time.monotonic() - begun
        seen.extend((begun, taken))
        time.sleep(max(0.0, 0.02 - taken))
with open(sys.argv[2], "wb") as file:
    seen.tofile(file)
"""

Span = tuple[float, float]
"""When something began and ended, in seconds of the machine's own clock."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-retention-") as folder:
        server = start_without_checkpoints(Path(folder) / "postgres", MAJOR)
        with server:
            print(f"PostgreSQL {server.major}, days of {ROWS:,} rows, {CLIENTS} clients of 100 rows each 20 ms")
            stalls: dict[str, list[float]] = {}
            for number in range(1, RUNS + 1):
                print(f"run {number} of {RUNS}", flush=True)
                url = server.create_database(f"logs_{number}")
                _run(server, url, Path(folder), stalls)
                server.drop_database(f"logs_{number}")
            for phase, values in stalls.items():
                print(
                    f"{phase:24} longest stall, median of runs {statistics.median(values):7.1f} ms, all {_told(values)}"
                )
            worst = max(max(values) for phase, values in stalls.items() if phase.startswith("retention"))
            print(f"goal {GOAL_MS:.0f} ms: {'met' if worst <= GOAL_MS else 'MISSED'}, worst {worst:.1f} ms")


def _run(server: PostgresServer, url: str, folder: Path, stalls: dict[str, list[float]]) -> None:
    upgrade_to_head(ENVIRONMENT, url)
    today = datetime.now(UTC).date()
    dropped, deleted = today - timedelta(days=31), today - timedelta(days=30)
    with psycopg.connect(url, autocommit=True) as connection:
        retention.first_look(connection)
        ensure_days(connection, "system_logs", [dropped, deleted])
        for day in (dropped, deleted):
            connection.execute(FILL, {"day": day, "rows": ROWS})
        connection.execute("VACUUM ANALYZE system_logs")
        with psycopg.connect(server.superuser_url, autocommit=True) as superuser:
            superuser.execute("CHECKPOINT")
        with _clients(url, folder) as latencies:
            phases = {"nobody else": _alone()}
            phases |= _drop(url, connection)
            time.sleep(SETTLE_SECONDS)
            phases |= _delete(url, connection, deleted)
            time.sleep(SETTLE_SECONDS)
    for phase, span in phases.items():
        found = sorted(seconds * 1000 for begun, seconds in latencies if begun < span[1] and begun + seconds > span[0])
        stalls.setdefault(phase, []).append(found[-1])
        p50, p99 = statistics.median(found), found[int(len(found) * 0.99)]
        print(
            f"  {phase:24} {span[1] - span[0]:6.1f} s  {len(found):5,} transactions  "
            f"p50 {p50:5.1f}  p99 {p99:6.1f}  longest {found[-1]:7.1f} ms",
            flush=True,
        )


def _alone() -> Span:
    begun = time.monotonic()
    time.sleep(ALONE_SECONDS)
    return begun, time.monotonic()


def _drop(url: str, connection: psycopg.Connection[Any]) -> dict[str, Span]:
    """Let retention drop the older day: passes while a reader is open, then those that finish it."""
    written = _wal(connection)
    begun = time.monotonic()
    with _reader(url):
        while time.monotonic() < begun + READER_SECONDS:
            retention.run(connection, KEPT)
            time.sleep(1)
    read = time.monotonic()
    freed = 0
    while not freed:
        freed = retention.run(connection, KEPT).freed_bytes
    done = time.monotonic()
    print(
        f"  retention: {freed / MEBIBYTE:,.0f} MiB given back {done - read:.2f} s after the reader has gone, "
        f"WAL in all {(_wal(connection) - written) / MEBIBYTE:,.0f} MiB, of which the clients wrote most"
    )
    return {"retention, reader open": (begun, read), "retention, reader gone": (read, done + 1)}


def _delete(url: str, connection: psycopg.Connection[Any], day: date) -> dict[str, Span]:
    """Delete a day of as many rows, then vacuum, with a reader open and without."""
    partition, written = f"system_logs_{day:%Y_%m_%d}", _wal(connection)
    full = _size(connection, partition)
    begun = time.monotonic()
    with _reader(url):
        connection.execute(
            "DELETE FROM system_logs WHERE created_at >= %s AND created_at < %s", (day, day + timedelta(1))
        )
        deleted = time.monotonic()
        connection.execute(f"VACUUM {partition}")
        vacuumed = time.monotonic()
        held = full - _size(connection, partition)
    connection.execute(f"VACUUM {partition}")
    done = time.monotonic()
    print(
        f"  DELETE: {held / MEBIBYTE:,.0f} MiB given back while the reader is open, "
        f"{(full - _size(connection, partition)) / MEBIBYTE:,.0f} of {full / MEBIBYTE:,.0f} MiB by a VACUUM after it, "
        f"WAL in all {(_wal(connection) - written) / MEBIBYTE:,.0f} MiB"
    )
    return {
        "DELETE, reader open": (begun, deleted),
        "VACUUM, reader open": (deleted, vacuumed),
        "VACUUM, reader gone": (vacuumed, done + 1),
    }


@contextmanager
def _reader(url: str) -> Iterator[None]:
    with psycopg.connect(url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM system_logs WHERE created_at < now() - interval '29 days'")
        yield


@contextmanager
def _clients(url: str, folder: Path) -> Iterator[list[tuple[float, float]]]:
    """Let clients write; the list, filled at the end, holds when each transaction began and how long it took."""
    files = [folder / f"client {number}" for number in range(CLIENTS)]
    clients = [
        subprocess.Popen([sys.executable, "-c", CLIENT, url, file], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for file in files
    ]
    for client in clients:
        if client.stdout is None or client.stdout.readline() != "writing\n":
            raise RuntimeError("A client did not begin; see above.")
    latencies: list[tuple[float, float]] = []
    yield latencies
    for client, file in zip(clients, files, strict=True):
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=60)
        values = array.array("d", file.read_bytes())
        latencies += zip(values[::2], values[1::2], strict=True)


def _wal(connection: psycopg.Connection[Any]) -> int:
    return _number(connection, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")


def _size(connection: psycopg.Connection[Any], table: str) -> int:
    return _number(connection, f"SELECT pg_total_relation_size('{table}')")


def _number(connection: psycopg.Connection[Any], question: str) -> int:
    row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _told(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


if __name__ == "__main__":
    main()
