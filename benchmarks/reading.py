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
import os
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from pydantic import SecretStr

from api.log_reader import LogReader, LogSession
from api.log_search import Search
from api.log_story import read_story
from benchmarks.readings.cases import CASES, Case
from benchmarks.readings.fill import ROW_BYTES, fill
from benchmarks.readings.legacy import legacy_page_ms
from benchmarks.readings.sample import Sample, take_sample
from logs_db.queries import LogFilter, Position, Stretch, Window
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
Ask = Callable[[LogSession, int], Awaitable[object]]
"""One question with the values of that number."""


class Bench:
    """The filled server, which can be made cold, and what to ask it."""

    def __init__(self, folder: Path, server: PostgresServer, url: str) -> None:
        self.folder = folder
        self.server = server
        self.url = url
        with psycopg.connect(url, autocommit=True) as connection:
            self.sample: Sample = take_sample(connection)
        self.window = Window(self.sample.since, self.sample.until)

    def timed(self, ask: Ask, numbers: Iterable[int]) -> list[float]:
        """Milliseconds of the question with each number's values, over one connection, with all its round trips."""
        return asyncio.run(self._timed(ask, numbers))

    async def _timed(self, ask: Ask, numbers: Iterable[int]) -> list[float]:
        reader = LogReader(SecretStr(self.url))
        await reader.open()
        try:
            # The first connection is not what is measured, nor what its process must learn of the catalog.
            await reader.run(lambda session: session.all(histogram(self.window, step=Step.DAY, key=Key.LEVEL)))
            milliseconds = []
            for number in numbers:
                began = time.perf_counter()
                await reader.run(lambda session, number=number: ask(session, number))  # type: ignore[misc]
                milliseconds.append((time.perf_counter() - began) * 1000)
            return milliseconds
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
        titles = ("first p50", "p95", "cold", "deep p50", "p95", "x first", "legacy")
        print(f"  {'case':26}", *(f"{title:>9}" for title in titles))
        for name, case in CASES.items():
            _tell_case(bench, name, case)
        for name, ask in _sums(bench).items():
            warm = bench.timed(ask, range(TIMES))
            bench.cool()
            cold = bench.timed(ask, range(COLD_TIMES))
            print(
                f"  {name:26} {statistics.median(warm):9.1f} {_p95(warm):9.1f} {statistics.median(cold):9.1f}",
                flush=True,
            )
        bench.server.stop()


def _tell_case(bench: Bench, name: str, case: Case) -> None:
    places = {} if "text" in name else bench.deep_places(case)
    # The same values for both, and in turn, for a machine is now quicker and now slower.
    turns = [(bench.timed(bench.page(case), places), bench.timed(bench.page(case, places), places)) for _ in range(3)]
    warm = bench.timed(bench.page(case), range(TIMES))
    legacy = legacy_page_ms(bench.url, case(bench.sample, 0), bench.window, offset=DEEP_ROWS)
    bench.cool()
    cold = bench.timed(bench.page(case), range(COLD_TIMES))
    told = f"{statistics.median(warm):9.1f} {_p95(warm):9.1f} {statistics.median(cold):9.1f}"
    if places:
        deepest = [each for _, deep in turns for each in deep]
        ratio = statistics.median(deepest) / statistics.median([each for first, _ in turns for each in first])
        told += f" {statistics.median(deepest):9.1f} {_p95(deepest):9.1f} {ratio:9.2f}"
    else:
        told += f" {'-':>9} {'-':>9} {'-':>9}"
    print(f"  {name:26} {told} {legacy:9.0f}", flush=True)


def _sums(bench: Bench) -> dict[str, Ask]:
    def summed(key: Key, step: Step) -> Ask:
        return lambda session, _: session.all(histogram(bench.window, step=step, key=key))

    async def story(session: LogSession, number: int) -> object:
        request_id = bench.sample.rows[number * 97 % len(bench.sample.rows)]["request_id"]
        return await read_story(session, bench.window, request_id=request_id, trace_id=None, limit=500)

    return {
        "30 days by level": summed(Key.LEVEL, Step.DAY),
        "30 days by component": summed(Key.COMPONENT, Step.DAY),
        "30 days by hour and level": summed(Key.LEVEL, Step.HOUR),
        "spend by day and model": lambda session, _: session.all(spend(bench.window)),
        "a request's story": story,
    }


def _place(connection: psycopg.Connection[tuple[object, ...]], filters: LogFilter, window: Window) -> Position | None:
    rows = DEEP_ROWS
    while rows >= PAGE_ROWS:
        query = edge(filters, Stretch((window,)), rows=rows)
        found = connection.execute(query.statement, query.parameters).fetchone()
        if found is not None:
            return Position(*found)  # type: ignore[arg-type]
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


def _p95(milliseconds: list[float]) -> float:
    return sorted(milliseconds)[min(len(milliseconds) - 1, int(len(milliseconds) * 0.95))]


if __name__ == "__main__":
    main()
