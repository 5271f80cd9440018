"""
SIGKILL at every named point x {producer, worker, PostgreSQL, Redis, two of them}: lost 0, doubled 0, imbalance 0.

Servers fully durable; then the same with appendfsync everysec, and beside it a worker that pops first and writes then.
The producers' processes tell what XADD, LPUSH or fsync answered for, before they can be killed; after each run the
database must hold it once.  HEADHUNTER_BENCH_ROUNDS sets how often each cell is run (2), HEADHUNTER_BENCH_SEED the
seed, HEADHUNTER_BENCH_POINT one point alone.  The seed settles the plan; what the threads do meanwhile nobody does.
Caveat: all deaths are of processes, and the kernel keeps what was written.  So with everysec nothing is lost here as a
rule; a machine's death would lose up to a second or two of accepted events, and Redis's own too where its write was
waiting for a background fsync.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from benchmarks.matrix.actor import RunError
from benchmarks.matrix.points import AFTER_COMMIT, AFTER_READ, BEFORE_COMMIT, POINTS, VICTIMS, Point, Victim
from benchmarks.matrix.run import Case, Run
from benchmarks.matrix.stage import Stage
from benchmarks.matrix.verdict import Verdict
from benchmarks.matrix.workers import pop_and_write, work

ROUNDS = int(os.environ.get("HEADHUNTER_BENCH_ROUNDS", "2"))
SEED = os.environ.get("HEADHUNTER_BENCH_SEED", "1")
POINT = os.environ.get("HEADHUNTER_BENCH_POINT")

POPPING_POINTS = tuple(replace(point, scene="list") for point in (AFTER_READ, BEFORE_COMMIT, AFTER_COMMIT))
POPPING_VICTIMS = tuple(victims for victims in VICTIMS if "producer" not in victims)

Cell = tuple[str, tuple[Victim, ...]]


class Matrix:
    """The cells of one table, each the sum of its runs."""

    def __init__(self, stage: Stage, points: Sequence[Point], victims: Sequence[tuple[Victim, ...]]) -> None:
        self._stage = stage
        self._points = [point for point in points if POINT in (None, point.name)]
        self._victims = victims
        self._numbers = count(1)
        self.runs: Counter[Cell] = Counter()
        self.cells: dict[Cell, Verdict] = defaultdict(Verdict)
        self.errors: list[str] = []
        self.seconds = 0.0

    def play(self, rounds: int, worker: Callable[..., None] = work) -> None:
        """Run every cell *rounds* times."""
        begun = time.monotonic()
        for number in range(rounds):
            for point in self._points:
                for victims in self._victims:
                    seed = f"{SEED}/{number}"
                    self._run(Case(number=next(self._numbers), point=point, victims=victims, seed=seed, worker=worker))
        self.seconds = time.monotonic() - begun

    @property
    def total(self) -> Verdict:
        """All cells together."""
        return sum(self.cells.values(), Verdict())

    def figures(self, prefix: str) -> dict[str, float]:
        """The totals, for the line that a program reads."""
        total = self.total
        figures = {"runs": self.runs.total(), "accepted": total.accepted, "lost": total.lost, "doubled": total.doubled}
        figures |= {"imbalance": total.imbalance, "wrong_sums": total.wrong_sums}
        figures |= {"errors": len(self.errors), "seconds": round(self.seconds)}
        return {f"{prefix}_{name}": figure for name, figure in figures.items()}

    def lines(self) -> Iterator[str]:
        """The table: a point a line, and for each set of victims the runs, lost, doubled and imbalance."""
        yield f"{'runs: lost/doubled/imbalance':<30}" + "".join(f"{'+'.join(names):>18}" for names in self._victims)
        for point in self._points:
            cells = [(point.name, names) for names in self._victims]
            texts = [
                f"{self.runs[cell]}: {found.lost}/{found.doubled}/{found.imbalance}"
                for cell, found in ((cell, self.cells[cell]) for cell in cells)
            ]
            yield f"{point.name:<30}" + "".join(f"{text:>18}" for text in texts)
        yield f"{self.runs.total()} runs in {self.seconds:.0f} s, {self.total}"
        yield from self.errors

    def _run(self, case: Case) -> None:
        cell = (case.point.name, case.victims)
        where = f"{case.point.name}, {' and '.join(case.victims)}, seed {case.seed}"
        try:
            verdict = Run(self._stage, case).play()
        except RunError as exc:
            self.errors.append(f"{where}: {exc}")
            return
        self.runs[cell] += 1
        self.cells[cell] += verdict
        if not verdict.is_clean and case.worker is work:
            print(f"  not kept: {where}: {verdict}", flush=True)


def main() -> None:
    """Run the three matrices; fail where a durable one lost or doubled anything, or a point was not reached."""
    durable = _played("durable", "always", POINTS, VICTIMS, ROUNDS)
    everysec = _played("appendfsync everysec", "everysec", POINTS, VICTIMS, max(1, ROUNDS // 2))
    popping = _played("pop, then write", "always", POPPING_POINTS, POPPING_VICTIMS, ROUNDS, pop_and_write)
    figures = durable.figures("kill_matrix") | everysec.figures("everysec") | popping.figures("pop_then_write")
    print(json.dumps(figures))
    if not durable.total.is_clean or durable.errors or everysec.errors or popping.errors:
        sys.exit("a promise was not kept, or a point was not reached")


def _played(
    title: str,
    appendfsync: str,
    points: Sequence[Point],
    victims: Sequence[tuple[Victim, ...]],
    rounds: int,
    worker: Callable[..., None] = work,
) -> Matrix:
    with tempfile.TemporaryDirectory(prefix="headhunter-matrix-") as folder, Stage(Path(folder), appendfsync) as stage:
        print(f"\n{title}: {', '.join(f'{name} {value}' for name, value in stage.settings().items())}", flush=True)
        matrix = Matrix(stage, points, victims)
        matrix.play(rounds, worker)
    print(*matrix.lines(), sep="\n", flush=True)
    return matrix


if __name__ == "__main__":
    main()
