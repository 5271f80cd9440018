"""
Milliseconds of pages, sums and stories over 30 of 60 daily partitions, beside OFFSET and count(*) as before.

Each case is asked for with other values each time: the first page, and page 2,000 of 50 rows, or the last where there
are fewer, from its cursor, which is computed beforehand.  Goals: p95 <= 20 ms (text 300 ms), page 2,000 within 1.2 x of
page 1, sums <= 50 ms, a story <= 20 ms.  Cold is after a restart with the data's pages dropped from the system's cache.
The legacy way is asked of the same rows and indexes: it must sort and count what the window holds.

HEADHUNTER_BENCH_ROWS (5 million; 50 million take some 40 GB, and the free disk is looked at first) sets the rows,
HEADHUNTER_BENCH_POSTGRES the major version, HEADHUNTER_BENCH_FOLDER a folder whose filled database is kept and used
again.  Without trigrams, as here, a text is looked for in 200,000 rows a page, and the answer says how far that was.
"""

import asyncio
import math
import os
import shutil
import statistics
import time
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import psycopg
from psycopg import sql
from pydantic import SecretStr

from api.log_reader import LogReader, LogSession
from api.log_search import Search
from api.log_story import read_story
from benchmarks.readings.cases import CASES, Case
from benchmarks.readings.fill import ROW_BYTES, fill
from benchmarks.readings.legacy import legacy_page_ms
from benchmarks.readings.processor import cpu_seconds
from benchmarks.readings.sample import Sample, take_sample
from logs_db.queries import LogFilter, PageQuery, Position, Stretch, Window
from logs_db.queries.pages import edge
from logs_db.queries.sums import Key, Step, histogram, spend
from servers.postgres import PostgresServer, find_binaries

ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "5000000"))
MAJOR = int(os.environ.get("HEADHUNTER_BENCH_POSTGRES", "18"))
FOLDER = os.environ.get("HEADHUNTER_BENCH_FOLDER")
PAGE_ROWS = 50
DEEP_ROWS = 1_999 * PAGE_ROWS
TIMES = 40
DEEP_TIMES = 8
COLD_TIMES = 5
SETTINGS = {"max_wal_size": "8GB", "checkpoint_timeout": "30min", "shared_buffers": "1GB"}
_PROCESS = PageQuery(sql.Composed([sql.SQL("SELECT pg_backend_pid() AS process")]), {})


class Ask(Protocol):
    """One question with the values of that number."""

    def __call__(self, session: LogSession, number: int) -> Awaitable[object]:
        """Ask it."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of each question, and those of the server's processor for one of them on average."""

    milliseconds: list[float]
    cpu_ms: float

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        """What 95 of 100 stay within."""
        return sorted(self.milliseconds)[min(len(self.milliseconds) - 1, int(len(self.milliseconds) * 0.95))]


class Bench:
    """The filled server, which can be made cold, and what to ask it."""

    def __init__(self, folder: Path, server: PostgresServer, url: str) -> None:
        self.folder = folder
        self.server = server
        self.url = url
        with psycopg.connect(url, autocommit=True) as connection:
            self.sample: Sample = take_sample(connection)
        self.window = Window(self.sample.since, self.sample.until)

    def timed(self, ask: Ask, numbers: Iterable[int]) -> Timed:
        """What the question takes with each number's values, over one connection, with all its round trips."""
        return asyncio.run(self._timed(ask, list(numbers)))

    async def _timed(self, ask: Ask, numbers: Sequence[int]) -> Timed:
        reader = LogReader(SecretStr(self.url))
        await reader.open()
        try:
            # The first connection is not what is measured, nor what its process must learn of the catalog.
            await reader.run(lambda session: session.all(histogram(self.window, step=Step.DAY, key=Key.LEVEL)))
            process = (await reader.run(lambda session: session.all(_PROCESS)))[0]["process"]
            milliseconds, used = [], cpu_seconds(process)
            for number in numbers:
                began = time.perf_counter()
                await reader.run(partial(ask, number=number))
                milliseconds.append((time.perf_counter() - began) * 1000)
            return Timed(milliseconds, (cpu_seconds(process) - used) * 1000 / max(1, len(numbers)))
        finally:
            await reader.close()

    def cool(self) -> None:
        """Start the server anew, with none of its data in memory."""
        port = self.server.port
        self.server.stop()
        os.sync()
        for path in self.folder.rglob("*"):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
        self.server = PostgresServer.start(
            self.folder, binaries=find_binaries(MAJOR), port=port, durable=False, settings=SETTINGS
        )

    def page(self, case: Case, places: dict[int, Position] | None = None) -> Ask:
        """The first page of a case, or that after each number's place."""

        async def ask(session: LogSession, number: int) -> object:
            after = None if places is None else places[number]
            filters = case(self.sample, number)
            return await Search(session, filters, self.window, after, PAGE_ROWS).run()

        return ask

    def deep_places(self, case: Case) -> dict[int, Position]:
        """Where page 2,000, or the last half of what there is, begins, for some of a case's values."""
        places: dict[int, Position] = {}
        with psycopg.connect(self.url, autocommit=True) as connection:
            for number in range(DEEP_TIMES):
                place = _place(connection, case(self.sample, number), self.window)
                if place is not None:
                    places[number] = place
        return places


def main() -> None:
    """Measure everything once and print a line for each."""
    with _filled() as bench:
        titles = ("first p50", "p95", "CPU", "cold p50", "deep p50", "p95", "CPU", "x first", "legacy")
        print(f"  {'milliseconds':26}", *(f"{title:>9}" for title in titles))
        for name, case in CASES.items():
            _tell_case(bench, name, case)
        for name, ask in _sums(bench).items():
            _print(name, *_warm_and_cold(bench, ask))
        bench.server.stop()


def _tell_case(bench: Bench, name: str, case: Case) -> None:
    places = {} if "text" in name else bench.deep_places(case)
    legacy = legacy_page_ms(bench.url, case(bench.sample, 0), bench.window, offset=DEEP_ROWS)
    figures = _warm_and_cold(bench, bench.page(case))
    if not places:
        _print(name, *figures, math.nan, math.nan, math.nan, math.nan, legacy)
        return
    # The same values for both, and in turn, for a machine is now quicker and now slower.
    numbers = list(places) * 3
    bench.timed(bench.page(case, places), places)
    first, deep = bench.timed(bench.page(case), numbers), bench.timed(bench.page(case, places), numbers)
    _print(name, *figures, deep.p50, deep.p95, deep.cpu_ms, deep.p50 / first.p50, legacy)


def _warm_and_cold(bench: Bench, ask: Ask) -> tuple[float, ...]:
    bench.cool()
    cold = bench.timed(ask, range(COLD_TIMES))
    bench.timed(ask, range(TIMES))
    warm = bench.timed(ask, range(TIMES))
    return warm.p50, warm.p95, warm.cpu_ms, cold.p50


def _print(name: str, *figures: float) -> None:
    print(f"  {name:26}", *(f"{'-' if math.isnan(one) else f'{one:.1f}':>9}" for one in figures), flush=True)


def _sums(bench: Bench) -> dict[str, Ask]:
    def summed(query: PageQuery) -> Ask:
        async def ask(session: LogSession, number: int) -> object:
            del number
            return await session.all(query)

        return ask

    async def story(session: LogSession, number: int) -> object:
        request_id = bench.sample.rows[number * 97 % len(bench.sample.rows)]["request_id"]
        return await read_story(session, bench.window, request_id=request_id, trace_id=None, limit=500)

    return {
        "30 days by level": summed(histogram(bench.window, step=Step.DAY, key=Key.LEVEL)),
        "30 days by component": summed(histogram(bench.window, step=Step.DAY, key=Key.COMPONENT)),
        "30 days by hour and level": summed(histogram(bench.window, step=Step.HOUR, key=Key.LEVEL)),
        "spend by day and model": summed(spend(bench.window)),
        "a request's story": story,
    }


def _place(connection: psycopg.Connection[Any], filters: LogFilter, window: Window) -> Position | None:
    rows = DEEP_ROWS
    while rows >= PAGE_ROWS:
        query = edge(filters, Stretch((window,)), rows=rows)
        found = connection.execute(query.statement, query.parameters).fetchone()
        if found is not None:
            return Position(*found)
        rows //= 4
    return None


@contextmanager
def _filled() -> Iterator[Bench]:
    """The server with its rows, made unless the folder has them already."""
    with TemporaryDirectory(prefix="headhunter-reading-") as temporary:
        folder = Path(FOLDER or temporary)
        is_there = (folder / "postgres").exists()
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
        if not is_there and free < ROWS * ROW_BYTES * 1.2:
            raise SystemExit(
                f"{ROWS:,} rows take some {ROWS * ROW_BYTES / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free: "
                "ask for fewer rows, or name a folder on a larger disk."
            )
        server = PostgresServer.start(
            folder / "postgres", binaries=find_binaries(MAJOR), durable=False, settings=SETTINGS
        )
        url = server.url("logs") if is_there else server.create_database("logs")
        if not is_there:
            seconds = fill(url, ROWS)
            print(f"filled {ROWS:,} rows in {seconds:.0f} s, {ROWS / seconds:,.0f} rows/s with all indexes")
        bench = Bench(folder / "postgres", server, url)
        try:
            yield bench
        finally:
            bench.server.stop()


if __name__ == "__main__":
    main()
