"""
Archives a day of 1 million rows: rows/s, size beside the table's, restored to the byte; then 50 seeded kills.

HEADHUNTER_BENCH_ROWS sets the rows of the day, HEADHUNTER_BENCH_KILLS how many passes are killed, HEADHUNTER_BENCH_SEED
where; HEADHUNTER_BENCH_POSTGRES is the major version.  Each of the killed passes has a day of 20,000 rows; every other
one is killed at a named point, the rest at a random moment of the time that a pass takes.  After each kill there must
be the whole partition or an archive of all rows that is read back; the next pass then finishes.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.archives.nursery import KEPT, POINTS
from benchmarks.conversion import MAJOR, ROOT
from benchmarks.retention import FILL
from logs_db import retention
from logs_db.archive import archiving
from logs_db.archive.columns import read_columns
from logs_db.archive.errors import ArchiveError
from logs_db.archive.manifest import Manifest, find_manifest
from logs_db.archive.querying import ask
from logs_db.archive.restoring import restore
from logs_db.archive.store import Store, open_store
from logs_db.archive.table_rows import digest_of, read_pieces
from logs_db.archive.verification import verify
from logs_db.detachment import Detached
from logs_db.environment import ENVIRONMENT
from logs_db.partitions import ensure_days
from migrator.partitioning import DAY, Relation, midnight
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer, find_binaries

ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "1000000"))
KILLS = int(os.environ.get("HEADHUNTER_BENCH_KILLS", "50"))
SEED = int(os.environ.get("HEADHUNTER_BENCH_SEED", "6"))
KILLED_ROWS = 20_000
MOST_DAYS = 400
"""How far back the days of the killed passes begin."""
MEBIBYTE = 1024 * 1024
SIZES = "SELECT pg_table_size(%s::regclass), pg_total_relation_size(%s::regclass)"

Connection = psycopg.Connection[Any]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-archive-") as folder:
        server = PostgresServer.start(Path(folder) / "postgres", binaries=find_binaries(MAJOR))
        with server:
            url = server.create_database("logs")
            upgrade_to_head(ENVIRONMENT, url)
            print(f"PostgreSQL {server.major}, {ROWS:,} rows")
            with psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC") as connection:
                retention.first_look(connection)
                _measure(connection, open_store(f"{folder}/measured"))
                _kill_passes(connection, url, f"{folder}/killed")


def _measure(connection: Connection, store: Store) -> None:
    day = _filled(connection, _ago(2), ROWS)
    heap, total = connection.execute(SIZES, (day.name, day.name)).fetchone() or (0, 0)
    manifest, seconds = _timed(lambda: archiving.archive(connection, store, day))
    print(f"  archived and read back      {ROWS / seconds:12,.0f} rows/s")
    _, seconds = _timed(lambda: verify(store, manifest))
    print(f"  verified                    {ROWS / seconds:12,.0f} rows/s")
    relation, seconds = _timed(lambda: restore(connection, store, manifest))
    print(f"  restored and compared       {ROWS / seconds:12,.0f} rows/s")
    is_same = _digest(connection, relation) == _digest(connection, day.relation) == manifest.content_sha256
    print(f"  rows after restore          {'the same to the byte' if is_same else 'DIFFERENT'}")
    _, seconds = _timed(lambda: ask(store, "SELECT component, count(*) FROM system_logs GROUP BY 1"))
    print(f"  counted by component        {seconds * 1000:12,.0f} ms")
    print(
        f"  size {manifest.bytes / MEBIBYTE:,.1f} MiB: {manifest.bytes / heap:.1%} of the table's "
        f"{heap / MEBIBYTE:,.0f} MiB, {manifest.bytes / total:.1%} with its indexes"
    )


def _kill_passes(connection: Connection, url: str, archive: str) -> None:
    luck, store, counted = random.Random(SEED), open_store(archive), Counter[str]()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.archives.nursery", url, archive],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        days = (_filled(connection, _ago(MOST_DAYS - number), KILLED_ROWS) for number in range(MOST_DAYS - 31))
        usual_ms = min(_answer(nursery, "never")[1] * 1000 for _ in zip(range(3), days, strict=False))
        while counted["killed"] < KILLS:
            day = next(days)
            moment = luck.choice([*POINTS]) if counted["killed"] % 2 else f"{luck.random() * usual_ms:.0f}"
            exit_code, _ = _answer(nursery, moment)
            counted["killed" if exit_code < 0 else "done before the kill"] += 1
            counted[_judged(connection, store, day)] += 1
            while retention.run(connection, KEPT, before_drop=archiving.hook(connection, archive)).skipped:
                pass  # the server has not yet seen that the killed pass has let go of its lock
            counted["finished by the next pass" if _is_archived(store, day.name) else "NOT FINISHED"] += 1
        if nursery.stdin:
            nursery.stdin.close()
    print(f"  kills, seed {SEED}: {', '.join(f'{name} {count}' for name, count in sorted(counted.items()))}")


def _answer(nursery: "subprocess.Popen[str]", moment: str) -> tuple[int, float]:
    if nursery.stdin is None or nursery.stdout is None:
        raise RuntimeError("The nursery has no pipes.")
    nursery.stdin.write(f"{moment}\n")
    nursery.stdin.flush()
    exit_code, seconds = nursery.stdout.readline().split()
    return int(exit_code), float(seconds)


def _judged(connection: Connection, store: Store, day: Detached) -> str:
    """What is left after a kill."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (day.relation.quoted,)).fetchone()
    if row and row[0]:
        count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(day.relation.identifier)).fetchone()
        return "the partition" if count == (KILLED_ROWS,) else "A PARTITION WITHOUT SOME ROWS"
    return "only a verified archive" if _is_archived(store, day.name) else "NEITHER"


def _is_archived(store: Store, name: str) -> bool:
    try:
        manifest: Manifest = find_manifest(store, name)
        verify(store, manifest)
    except ArchiveError:
        return False
    return manifest.rows == KILLED_ROWS


def _ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


def _filled(connection: Connection, day: date, rows: int) -> Detached:
    ensure_days(connection, "system_logs", [day], past_days=MOST_DAYS)
    connection.execute(FILL, {"day": day, "rows": rows})
    return Detached("system_logs", f"system_logs_{day:%Y_%m_%d}", midnight(day), midnight(day) + DAY)


def _digest(connection: Connection, relation: Relation) -> str:
    return digest_of(read_pieces(connection, relation, read_columns(connection, relation)))


def _timed(work: Any) -> tuple[Any, float]:
    begun = time.monotonic()
    return work(), time.monotonic() - begun
