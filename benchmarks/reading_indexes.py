"""
What each index that reading could have costs ingest and gives reading, one at a time beside the legacy ones.

Reading: p50 and p95 of the first page over 30 of 60 daily partitions, with the index and without.  Ingest: rows are
copied in batches of 2,000 into an empty partition's likeness with the index and without, in turns; told are the
processor seconds of the server's process per million rows, which a busy machine does not falsify as it does the time,
the WAL in bytes a row, and the size of the index.  HEADHUNTER_BENCH_ROWS (3 million) and HEADHUNTER_BENCH_ROUNDS (3)
set rows and turns, HEADHUNTER_BENCH_POSTGRES the major version, HEADHUNTER_BENCH_URL a database that is filled already.
"""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from benchmarks.readings.candidates import CANDIDATES, Candidate
from benchmarks.readings.fill import fill
from benchmarks.readings.processor import cpu_seconds
from benchmarks.readings.sample import Sample, take_sample
from servers.postgres import PostgresServer, find_binaries

ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "3000000"))
ROUNDS = int(os.environ.get("HEADHUNTER_BENCH_ROUNDS", "3"))
MAJOR = int(os.environ.get("HEADHUNTER_BENCH_POSTGRES", "18"))
COPIED_ROWS = 300_000
BATCH_ROWS = 2_000
QUERIES = 21
ENOUGH_MS = 10_000.0

_PAGE: LiteralString = """
SELECT * FROM public.system_logs WHERE created_at >= %(since)s AND created_at < %(until)s AND {}
ORDER BY created_at DESC, id DESC LIMIT 51
"""
_LIKENESS: LiteralString = """
DROP TABLE IF EXISTS public.likeness;
CREATE TABLE public.likeness (LIKE public.system_logs INCLUDING DEFAULTS INCLUDING INDEXES)
"""


@dataclass(frozen=True, slots=True)
class Price:
    """What a million rows cost the process that copies them, the WAL of a row, and the bytes of an index a row."""

    cpu_seconds: float
    wal_bytes: float
    index_bytes: float


def main() -> None:
    """Measure each candidate in turn and print a line for it."""
    with _filled() as connection:
        sample = take_sample(connection)
        batches = _batches(connection)
        bare: list[Price] = []
        prices: dict[str, list[Price]] = defaultdict(list)
        for _ in range(ROUNDS):
            bare.append(_price(connection, batches, None))
            for name, candidate in CANDIDATES.items():
                prices[name].append(_price(connection, batches, candidate))
        wal = f"{_median(bare, 'wal_bytes'):.0f} WAL bytes a row"
        print(f"  {'without any':26} {_cpu(bare):.2f} CPU s a million rows, {wal}")
        for name, candidate in CANDIDATES.items():
            _tell(connection, name, candidate, sample, prices[name], bare)


def _tell(
    connection: psycopg.Connection[Any],
    name: str,
    candidate: Candidate,
    sample: Sample,
    prices: list[Price],
    bare: list[Price],
) -> None:
    before = _latencies_ms(connection, candidate, sample)
    connection.execute(sql.SQL("CREATE INDEX tried ON public.system_logs {}").format(sql.SQL(candidate.definition)))
    connection.execute("ANALYZE public.system_logs")
    after = _latencies_ms(connection, candidate, sample)
    connection.execute("DROP INDEX public.tried")
    print(
        f"  {name:26} p95 {_p95(before):7.1f} -> {_p95(after):6.1f} ms (p50 {statistics.median(before):7.1f} -> "
        f"{statistics.median(after):5.1f}), CPU {_cpu(prices) / _cpu(bare):5.3f} x, WAL +"
        f"{_median(prices, 'wal_bytes') - _median(bare, 'wal_bytes'):4.0f} bytes a row, "
        f"index {_median(prices, 'index_bytes'):4.0f} bytes a row",
        flush=True,
    )


@contextmanager
def _filled() -> Iterator[psycopg.Connection[Any]]:
    """A connection to the filled database, which is made unless HEADHUNTER_BENCH_URL names it."""
    with ExitStack() as stack:
        url = os.environ.get("HEADHUNTER_BENCH_URL")
        if url is None:
            folder = stack.enter_context(TemporaryDirectory(prefix="headhunter-reading-"))
            binaries = find_binaries(MAJOR)
            server = PostgresServer.start(
                Path(folder) / "postgres", binaries=binaries, settings={"max_wal_size": "8GB"}
            )
            url = stack.enter_context(server).create_database("logs")
            print(f"filled {ROWS:,} rows in {fill(url, ROWS):.0f} s", flush=True)
        connection = stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None))
        connection.execute("SET max_parallel_workers_per_gather = 0")
        # Whoever may not create it measures the others.
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except psycopg.Error as exc:
            print(f"  without trigrams: {exc}")
            CANDIDATES.pop("message, trigram")
        yield connection


def _batches(connection: psycopg.Connection[Any]) -> list[bytes]:
    """Rows in COPY's binary form, as the worker sends them."""
    parts = range(COPIED_ROWS // BATCH_ROWS)
    connection.execute(
        sql.SQL("CREATE TEMP TABLE taken AS SELECT * FROM public.system_logs ORDER BY created_at DESC LIMIT {}").format(
            COPIED_ROWS
        )
    )
    connection.execute(
        "CREATE TEMP TABLE numbered AS SELECT *, row_number() OVER (ORDER BY created_at) AS n FROM taken"
    )
    connection.execute("CREATE INDEX ON numbered (n)")
    return [_batch(connection, number) for number in parts]


def _batch(connection: psycopg.Connection[Any], number: int) -> bytes:
    query = sql.SQL(
        "COPY (SELECT {} FROM numbered WHERE n > {} AND n <= {} ORDER BY n) TO STDOUT (FORMAT BINARY)"
    ).format(_columns(), number * BATCH_ROWS, (number + 1) * BATCH_ROWS)
    with connection.cursor().copy(query) as copy:
        return b"".join(bytes(piece) for piece in copy)


def _columns() -> sql.Composable:
    from logs_db.models import SystemLog  # noqa: PLC0415 - models are heavy, and only needed here

    return sql.SQL(", ").join(map(sql.Identifier, SystemLog.__table__.columns.keys()))


def _price(connection: psycopg.Connection[Any], batches: list[bytes], candidate: Candidate | None) -> Price:
    connection.execute(_LIKENESS)
    if candidate is not None:
        connection.execute(
            sql.SQL("CREATE INDEX tried_alone ON public.likeness {}").format(sql.SQL(candidate.definition))
        )
    statement = sql.SQL("COPY public.likeness ({}) FROM STDIN (FORMAT BINARY)").format(_columns())
    wal, cpu = _wal(connection), cpu_seconds(connection.info.backend_pid)
    for batch in batches:
        with connection.cursor().copy(statement) as copy:
            copy.write(batch)
    rows = len(batches) * BATCH_ROWS
    size = _one(connection, "SELECT coalesce(pg_relation_size(to_regclass('public.tried_alone')), 0)")
    return Price(
        (cpu_seconds(connection.info.backend_pid) - cpu) / rows * 1e6, (_wal(connection) - wal) / rows, size / rows
    )


def _latencies_ms(connection: psycopg.Connection[Any], candidate: Candidate, sample: Sample) -> list[float]:
    statement = sql.SQL(_PAGE).format(sql.SQL(candidate.condition)).as_bytes()
    latencies: list[float] = []
    for number in range(QUERIES):
        began = time.perf_counter()
        connection.execute(statement, sample.parameters(number)).fetchall()
        latencies.append((time.perf_counter() - began) * 1000)
        # What takes seconds needs no more proof.
        if sum(latencies) > ENOUGH_MS:
            break
    return latencies


def _wal(connection: psycopg.Connection[Any]) -> float:
    return _one(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'")


def _one(connection: psycopg.Connection[Any], query: LiteralString) -> float:
    row = connection.execute(query).fetchone()
    return float(row[0]) if row else 0.0


def _median(prices: list[Price], field: str) -> float:
    return statistics.median([float(getattr(price, field)) for price in prices])


def _cpu(prices: list[Price]) -> float:
    return _median(prices, "cpu_seconds")


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)] if len(values) > 1 else values[0]


if __name__ == "__main__":
    main()
