"""
Rows per second of one worker and of two from a full queue, beside COPY of ready files and the ways of others.

Servers, tables, indexes, partitions, durability and ledger are as `make up` has them.  Worker and COPY alternate, and a
round fails if rows differ from events; each figure is the median over the rounds.  A worker's time is from the moment
it sees the full queue to its last acknowledgement.  HEADHUNTER_BENCH_EVENTS and HEADHUNTER_BENCH_ROUNDS set size and
number.  Quote the ratios: machines differ, and are noisy.
"""

import json
import os
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import psycopg
from msgspec.structs import astuple

from benchmarks.ingest.copying import copy_seconds
from benchmarks.ingest.events import ReadyFiles, make_events, make_frames
from benchmarks.ingest.others import WAYS
from benchmarks.ingest.workers import drain_full_queue
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from servers.valkey import RedisServer
from worker.store import connect
from worker.tables import COPY_NEW, SYSTEM_LOGS, copy_rows

EVENTS = int(os.environ.get("HEADHUNTER_BENCH_EVENTS", "1000000"))
ROUNDS = int(os.environ.get("HEADHUNTER_BENCH_ROUNDS", "5"))
BOTH = (1, 2)

Figures = dict[str, list[float]]
"""What was measured, by name, a value a round."""


def main() -> None:
    """Measure in turns, print one table and, last, one line of JSON."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer.start(Path(folder) / "postgres") as postgres,
        RedisServer.start(Path(folder) / "redis") as queue_server,
    ):
        bench = Bench(postgres.create_database("logs"), queue_server.url)
        for number in range(1, ROUNDS + 1):
            bench.run_round(number)
        bench.run_others()
    medians = {name: statistics.median(values) for name, values in bench.figures.items()}
    _print_table(medians)
    print(json.dumps({name: round(value, 2) for name, value in (medians | _ratios(bench.figures)).items()}))


class Bench:
    """The events in every form that is measured, and what was measured so far."""

    def __init__(self, url: str, redis_url: str) -> None:
        self.url = url
        self.redis_url = redis_url
        self.figures: Figures = defaultdict(list)
        upgrade_to_head(ENVIRONMENT, url)
        self.events = list(make_events(EVENTS))
        self.frames = make_frames(self.events)
        with connect(url, application_name="benchmark") as connection, connection.cursor() as cursor:
            copy_rows(cursor, COPY_NEW[SYSTEM_LOGS], SYSTEM_LOGS.types, map(astuple, self.events))
        self.files = ReadyFiles.read(url, len(BOTH))
        self.form, self.parts = self._faster_form()
        size = sum(map(len, self.frames)) / EVENTS
        print(f"{EVENTS:,} events, {size:.0f} bytes each on the wire; COPY is faster as {self.form}", flush=True)

    def run_round(self, number: int) -> None:
        """Measure COPY and workers, one and two of each, and check that every event became a row."""
        for count in BOTH:
            self._empty()
            seconds = copy_seconds(self.url, self.parts, self.form, connections=count)
            self._add(f"copy_{count}_rows_per_second", EVENTS / seconds)
            self._check(EVENTS)
            self._empty()
            drained = drain_full_queue(self.url, self.redis_url, self.frames, EVENTS, workers=count)
            self._check(EVENTS)
            self._add(f"worker_{count}_rows_per_second", EVENTS / drained.seconds)
            self._add(f"worker_{count}_cpu_seconds_per_million", drained.cpu_seconds / EVENTS * 1e6)
            self._add(f"worker_{count}_peak_mib", drained.peak_mib)
        print(f"  round {number}: " + ", ".join(f"{name} {values[-1]:,.0f}" for name, values in self.figures.items()))

    def run_others(self) -> None:
        """Measure how others do it, on fewer events where they are slow."""
        for name, (way, enough) in WAYS.items():
            events = self.events[:enough]
            for _ in range(min(ROUNDS, 3)):
                self._empty()
                self._add(_as_key(name), way(self.url, self.redis_url, events))
                self._check(len(events))

    def _faster_form(self) -> tuple[str, list[bytes]]:
        seconds = {}
        for form, parts in (("TEXT", self.files.text), ("BINARY", self.files.binary)):
            self._empty()
            seconds[form] = copy_seconds(self.url, parts, form, connections=1), parts
        form = min(seconds, key=lambda name: seconds[name][0])
        return form, seconds[form][1]

    def _add(self, name: str, value: float) -> None:
        self.figures[name].append(value)

    def _empty(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE system_logs, ledger_entries")

    def _check(self, events: int) -> None:
        with psycopg.connect(self.url) as connection:
            (rows,) = connection.execute("SELECT count(*) FROM system_logs").fetchone() or (0,)
        if rows != events:
            raise SystemExit(f"{rows} rows of {events} events: what was measured is worth nothing.")


def _as_key(name: str) -> str:
    return name.lower().replace(", ", "_").replace(" ", "_") + "_rows_per_second"


def _ratios(figures: Figures) -> dict[str, float]:
    """The median over the rounds of each round's own ratio, so that a slow minute hits both sides of it."""
    return {
        f"worker_{count}_of_copy_{count}": statistics.median(
            worked / copied
            for worked, copied in zip(
                figures[f"worker_{count}_rows_per_second"], figures[f"copy_{count}_rows_per_second"], strict=True
            )
        )
        for count in BOTH
    }


def _print_table(medians: dict[str, float]) -> None:
    limit = medians["copy_1_rows_per_second"]
    print(f"\n  {'way':44} {'rows/s':>10} {'of COPY':>8}")
    for name, rate in sorted(medians.items(), key=lambda item: -item[1]):
        if name.endswith("_rows_per_second"):
            print(f"  {name.removesuffix('_rows_per_second'):44} {rate:10,.0f} {rate / limit:8.3f}")


if __name__ == "__main__":
    main()
