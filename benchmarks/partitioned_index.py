"""
Kills the build of an index on 50 partitions at 100 random moments (SIGKILL), under 2 inserting clients: p99 <= 50 ms.

After each kill the operation is started again and must end with a valid index: every partition's part attached, valid
and holding every row, nothing left over.  Then the index is dropped, for the next run.  HEADHUNTER_BENCH_KILLS sets the
runs, HEADHUNTER_BENCH_ROWS the rows of a partition, HEADHUNTER_BENCH_SEED the moments, HEADHUNTER_BENCH_POSTGRES the
major version.  Durable server; a client inserts one row after another, each committed, into all partitions in turn.
Latencies count while a build, or a drop, is at work; beside them stand those of as many clients with nobody else there.
"""

import array
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.conversion import MAJOR, ROOT
from benchmarks.ingest.postgres import start_without_checkpoints

KILLS = int(os.environ.get("HEADHUNTER_BENCH_KILLS", "100"))
ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "20000"))
SEED = int(os.environ.get("HEADHUNTER_BENCH_SEED", "4"))
PARTITIONS = 50
CLIENTS = 2
ALONE_SECONDS = 30.0
WAIT_SECONDS = 300.0

SCHEMA = f"""
CREATE TABLE events (day date NOT NULL, id bigint NOT NULL, level text NOT NULL, message text) PARTITION BY RANGE (day);
DO $$ BEGIN FOR n IN 0..{PARTITIONS - 1} LOOP
    EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                   n, date '2026-01-01' + n, date '2026-01-01' + n + 1);
END LOOP; END $$;
INSERT INTO events SELECT date '2026-01-01' + n % {PARTITIONS}, n, (ARRAY['INFO', 'ERROR'])[1 + n % 2], repeat('m', 200)
FROM generate_series(1, {ROWS} * {PARTITIONS}) n;
"""
CLIENT = f"""
import array, itertools, signal, sys, time
import psycopg
stop, seen = [], array.array("d")
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    print("writing", flush=True)
    for number in itertools.count():
        if stop:
            break
        begun = time.monotonic()
        connection.execute("INSERT INTO events VALUES (date '2026-01-01' + %s::int, -1, 'INFO', 'm')",
                           (number % {PARTITIONS},))
        seen.extend((begun, time.monotonic() - begun))
with open(sys.argv[2], "wb") as file:
    seen.tofile(file)
"""
# Imports come first: what is killed is the operation, not Python's start.
OPERATION = """
import logging, sys, time
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import NullPool, create_engine, text
from migrator import ops
from migrator.ops import partitioned_index
from migrator.urls import engine_url
class Locks(logging.Handler):
    def emit(self, record):
        if getattr(record, "event", "") == "table_locked":
            print("locked", record.locked_ms, flush=True)
def timed(*arguments, attach=partitioned_index.execute_briefly):
    begun = time.monotonic()
    attach(*arguments)
    print("attached", (time.monotonic() - begun) * 1000, flush=True)
partitioned_index.execute_briefly = timed
logging.getLogger("migrator").addHandler(Locks())
logging.getLogger("migrator").setLevel(logging.INFO)
engine = create_engine(engine_url(sys.argv[1]), poolclass=NullPool)
with engine.connect() as connection:
    context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
    with context.begin_transaction(_per_migration=True):
        print("begun", flush=True)
        if sys.argv[2] == "create":
            Operations(context).create_index_concurrently("ix_events_level_id", "events", ["level", text("id DESC")])
        else:
            Operations(context).drop_index_concurrently("ix_events_level_id", "events")
"""
STATE = """
SELECT count(*) FILTER (WHERE c.relispartition AND x.indisvalid),
       count(*) FILTER (WHERE NOT c.relispartition AND x.indisvalid AND c.relkind = 'i'),
       count(*) FILTER (WHERE NOT x.indisvalid AND c.relkind = 'i'),
       coalesce(bool_and(x.indisvalid) FILTER (WHERE c.relkind = 'I'), false)
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indexrelid >= 16384 AND c.relname LIKE '%level_id%'
"""


@dataclass
class Seen:
    """When builds and drops were at work, and how long they locked: seconds by the machine's clock, and ms."""

    building: list[tuple[float, float]] = field(default_factory=list)
    dropping: list[tuple[float, float]] = field(default_factory=list)
    locked_ms: dict[str, list[float]] = field(default_factory=lambda: {"create": [], "attach": [], "drop": []})


@dataclass
class Done:
    """What one process of an operation said, and whether it ended well."""

    is_well: bool
    seconds: float


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-index-") as folder:
        server = start_without_checkpoints(Path(folder) / "postgres", MAJOR)
        with server:
            url = server.create_database("events")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(SCHEMA.encode())
                connection.execute("VACUUM ANALYZE events")
            print(
                f"PostgreSQL {server.major}, {PARTITIONS} partitions of {ROWS:,} rows, {CLIENTS} clients, seed {SEED}"
            )
            with _clients(url, Path(folder)) as alone:
                time.sleep(ALONE_SECONDS)
            print("nobody else       ", _told(alone), flush=True)
            seen = Seen()
            with _clients(url, Path(folder)) as latencies:
                converged = _kill_again_and_again(url, seen)
            print("while building    ", _told(latencies, seen.building))
            print("while dropping    ", _told(latencies, seen.dropping))
            for name, values in seen.locked_ms.items():
                print(
                    f"{name:8} locked for {statistics.median(values):.1f} ms (median), {max(values):.1f} ms (longest)"
                )
            accepted = sum(len(latencies_of) for latencies_of in (alone, latencies))
            print(f"converged {converged} / {KILLS}, rows lost {_lost(url, accepted)}")


def _kill_again_and_again(url: str, seen: Seen) -> int:
    """Return how often the index was whole after a build that was killed was started again."""
    whole = _finish(url, "create", seen)
    print(f"uninterrupted      {whole.seconds:.1f} s, whole: {_is_whole(url)}", flush=True)
    _finish(url, "drop", seen)
    chance, converged = random.Random(SEED), 0
    for number in range(1, KILLS + 1):
        parts, delay = chance.randrange(PARTITIONS + 1), chance.uniform(0.0, whole.seconds / PARTITIONS)
        left = _killed(url, parts, delay, seen)
        resumed = _finish(url, "create", seen)
        is_converged = resumed.is_well and _is_whole(url)
        converged += is_converged
        dropped = _finish(url, "drop", seen)
        print(
            f"killed at {parts:2} + {delay * 1000:5.1f} ms  {left}  resumed in {resumed.seconds:5.2f} s  "
            f"{'converged' if is_converged and dropped.is_well else 'NOT CONVERGED'}  ({number} of {KILLS})",
            flush=True,
        )
    return converged


def _killed(url: str, parts: int, delay_seconds: float, seen: Seen) -> str:
    """Kill a build so many seconds after it has attached so many *parts*, and tell what it left."""
    process, begun = _start(url, "create")
    while parts and process.stdout is not None and (line := process.stdout.readline()):
        parts -= line.startswith("attached")
    time.sleep(delay_seconds)
    process.kill()
    process.communicate()
    seen.building.append((begun, time.monotonic()))
    attached, loose, invalid, _ = _state(url)
    return f"{attached:2} attached, {loose} loose, {invalid} INVALID"


def _finish(url: str, what: str, seen: Seen) -> Done:
    process, begun = _start(url, what)
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    end = time.monotonic()
    (seen.building if what == "create" else seen.dropping).append((begun, end))
    for line in said.splitlines():
        kind, _, value = line.partition(" ")
        seen.locked_ms["attach" if kind == "attached" else what].append(float(value))
    return Done(process.returncode == 0, end - begun)


def _start(url: str, what: str) -> tuple[subprocess.Popen[str], float]:
    process = subprocess.Popen(
        [sys.executable, "-c", OPERATION, url, what], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if process.stdout is None or process.stdout.readline() != "begun\n":
        raise RuntimeError("The operation did not begin; see above.")
    return process, time.monotonic()


@contextmanager
def _clients(url: str, folder: Path) -> Iterator[list[tuple[float, float]]]:
    """Let clients insert; the list, filled at the end, holds when each INSERT began and how many seconds it took."""
    files = [folder / f"client {number}" for number in range(CLIENTS)]
    clients = [
        subprocess.Popen([sys.executable, "-c", CLIENT, url, file], stdout=subprocess.PIPE, text=True) for file in files
    ]
    for client in clients:
        if client.stdout is None or client.stdout.readline() != "writing\n":
            raise RuntimeError("A client did not begin; see above.")
    latencies: list[tuple[float, float]] = []
    yield latencies
    for client, file in zip(clients, files, strict=True):
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=WAIT_SECONDS)
        values = array.array("d", file.read_bytes())
        latencies += zip(values[::2], values[1::2], strict=True)


def _told(latencies: list[tuple[float, float]], intervals: list[tuple[float, float]] | None = None) -> str:
    """Name the percentiles of those INSERTs that overlap one of *intervals*, or of all."""
    wanted = sorted(
        seconds * 1000
        for begun, seconds in latencies
        if intervals is None or any(begun < end and begun + seconds > start for start, end in intervals)
    )
    p99 = wanted[int(len(wanted) * 0.99)]
    return f"{len(wanted):8,} INSERTs  p50 {statistics.median(wanted):5.1f}  p99 {p99:5.1f}  max {wanted[-1]:6.1f} ms"


def _state(url: str) -> tuple[int, int, int, bool]:
    """Return how many parts are attached and valid, valid but loose, and INVALID, and whether the parent's is valid."""
    with psycopg.connect(url) as connection:
        row = connection.execute(STATE).fetchone()
    assert row is not None
    return row[0], row[1], row[2], row[3]


def _is_whole(url: str) -> bool:
    """Whether the index is all there, valid, nothing is beside it, and it finds every row."""
    if _state(url) != (PARTITIONS, 0, 0, True):
        return False
    with psycopg.connect(url) as connection:
        # Both counts of one snapshot: clients go on inserting.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        by_table = connection.execute("SELECT count(*) FROM events").fetchone()
        connection.execute("SET LOCAL enable_seqscan = off")
        by_index = connection.execute("SELECT count(*) FROM events WHERE level >= ''").fetchone()
    return by_table == by_index


def _lost(url: str, accepted: int) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row is not None
    return ROWS * PARTITIONS + accepted - int(row[0])


if __name__ == "__main__":
    main()
