"""One run: a scene, a point, the death of those who are to die, and how it ends."""

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import redis

from benchmarks.matrix.actor import WAIT_SECONDS, Actor, RunError
from benchmarks.matrix.events import run_name
from benchmarks.matrix.points import AFTER_READ, IN_COPY, Point, Victim
from benchmarks.matrix.producers import ProducerPlan, produce, push
from benchmarks.matrix.stage import Stage
from benchmarks.matrix.verdict import Verdict, judge
from benchmarks.matrix.workers import WorkerPlan, work
from log_events.event_queue import DEFAULT_MAX_BYTES, EventQueue
from log_events.keys import GROUP
from log_events.spool_segment import SUFFIX

BACKLOG_FRAMES = 24
FULL_BYTES = 32 * 1024
"""What the queue may hold where frames are to go to the disk: less than the backlog."""
PADDING = 5000
"""So much longer are texts where a COPY is to be under way."""
LONGEST_PAUSE_SECONDS = 0.03
_POLL_SECONDS = 0.005


@dataclass(frozen=True, kw_only=True)
class Case:
    """Who dies where; *seed* settles at which pass, how long later and for how long."""

    number: int
    point: Point
    victims: tuple[Victim, ...]
    seed: str
    worker: Callable[[WorkerPlan, Connection], None] = work
    producer_mutation: Callable[[], None] | None = None
    worker_mutation: Callable[[], None] | None = None


class Run:
    """Plays one case on a stage."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self._stage = stage
        self._case = case
        self._chance = random.Random(f"{case.seed} {case.point.name} {case.victims}")
        self._passes = self._chance.randint(1, case.point.most_passes)
        self.name = run_name(case.number)
        self._spool = stage.folder / "spool"
        self._log = stage.folder / f"{self.name}.log"
        self._producers: list[Actor] = []
        self._workers: list[Actor] = []

    def play(self, meanwhile: Callable[[], None] | None = None) -> Verdict:
        """
        Play it to its end.

        Args:
            meanwhile: Called while the dead are dead, before anyone is started again.

        Raises:
            RunError: The point was not reached, or somebody did not finish: the run proves nothing or much.
        """
        shutil.rmtree(self._spool, ignore_errors=True)
        self._stage.clear()
        try:
            self._reach_point()
            self._strike()
            if meanwhile is not None:
                meanwhile()
            self._stage.revive()
            self._finish()
            return judge(self.name, self.accepted, self._stage.database_url, self._stage.redis_url)
        finally:
            for actor in (*self._producers, *self._workers):
                if not actor.is_dead:
                    actor.kill()
            self._stage.revive()

    @property
    def accepted(self) -> set[str]:
        """The keys of all events that any producer was promised."""
        return {key for producer in self._producers for key in producer.accepted}

    def _reach_point(self) -> None:
        """Start producer and worker in the order of the scene; return when one of them stops at the point."""
        scene, side = self._case.point.scene, self._case.point.side
        producer = self._start_producer()
        if scene in ("spool", "drain", "claim"):
            producer.heard("filled")
        if scene == "claim":
            self._leave_entries_behind()
        if scene in ("spool", "drain"):
            held = self._start_worker(AFTER_READ, passes=1, threads=1)
            held.heard("reached")
        else:
            self._start_worker(self._case.point if side == "worker" else None, self._passes)
        producer.tell("start")
        if scene == "drain":
            producer.heard("sent")
            held.tell("go")
        (producer if side == "producer" else self._workers[0]).heard("reached")

    def _strike(self) -> None:
        """Kill all victims at once, at the point or a little later, and let go who lives."""
        if self._case.point.lead_ms:
            self._let_go()
            time.sleep(self._chance.uniform(0, self._case.point.lead_ms / 1000))
        for victim in self._chance.sample(self._case.victims, len(self._case.victims)):
            if victim == "producer":
                self._producers[0].strike()
            elif victim == "worker":
                self._workers[0].strike()
            else:
                self._stage.strike(victim)
        self._let_go()
        for actor in (self._producers[0], self._workers[0]):
            if actor.is_dead:
                actor.bury()
        time.sleep(self._chance.uniform(0, LONGEST_PAUSE_SECONDS))

    def _let_go(self) -> None:
        for actor in (self._producers[0], self._workers[0]):
            actor.tell("go")

    def _finish(self) -> None:
        """Put a fresh worker in a dead one's place, and wait until everything accepted is through."""
        if self._workers[0].is_dead:
            self._start_worker()
        producer = self._producers[0]
        if not producer.is_dead:
            sent = producer.heard("sent")
            self._wait_until(self._spool_is_empty, "the producer has not emptied its spool")
            self._end(producer)
            if sent is not None and len(producer.accepted) != sent:
                raise RunError(f"a producer that lives sent {sent} events, and {len(producer.accepted)} were accepted")
        if not self._spool_is_empty():
            successor = self._start_producer(is_successor=True)
            successor.tell("start")
            self._wait_until(self._spool_is_empty, "what a dead producer left in the spool was not delivered")
            self._end(successor)
        with redis.Redis.from_url(self._stage.redis_url) as client:
            queue = EventQueue(client)
            self._wait_until(lambda: _is_drained(queue), "the queue was not drained")
        if self._case.worker is not work:
            self._workers[-1].tell("end")
            self._workers[-1].heard("ended")

    def _end(self, producer: Actor) -> None:
        producer.tell("end")
        if not producer.heard("closed"):
            raise RunError("a producer gave up events at its end")

    def _start_producer(self, *, is_successor: bool = False) -> Actor:
        point = self._case.point
        is_spooling = point.scene in ("spool", "drain")
        plan = ProducerPlan(
            run=self.name,
            redis_url=self._stage.redis_url,
            point=point if point.side == "producer" and not is_successor else None,
            passes=self._passes,
            spool_folder=str(self._spool) if is_spooling else None,
            queue_max_bytes=FULL_BYTES if is_spooling else DEFAULT_MAX_BYTES,
            backlog=BACKLOG_FRAMES if point.scene in ("spool", "drain", "claim") and not is_successor else 0,
            bursts=0 if is_successor else 16 if point.scene == "list" else 8,
            padding=PADDING if point == IN_COPY else self._chance.choice((0, 100, 500)),
            mutation=self._case.producer_mutation,
        )
        self._producers.append(Actor(push if point.scene == "list" else produce, plan, self._log))
        return self._producers[-1]

    def _start_worker(self, point: Point | None = None, passes: int = 1, threads: int = 2) -> Actor:
        plan = WorkerPlan(
            database_url=self._stage.database_url,
            redis_url=self._stage.redis_url,
            point=point,
            passes=passes,
            threads=threads,
            mutation=self._case.worker_mutation,
        )
        self._workers.append(Actor(self._case.worker, plan, self._log))
        return self._workers[-1]

    def _leave_entries_behind(self) -> None:
        """Have entries read by a consumer that is nobody, as if it had died with them in hand."""
        with redis.Redis.from_url(self._stage.redis_url) as client:
            count = self._chance.randint(1, BACKLOG_FRAMES)
            streams = {EventQueue(client).keys.stream: ">"}
            client.xreadgroup(GROUP, "elsewhere:1:1/0", streams, count=count)

    def _spool_is_empty(self) -> bool:
        return not any(self._spool.glob(f"*{SUFFIX}"))

    def _wait_until(self, holds: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while not holds():
            if time.monotonic() > end:
                raise RunError(f"{otherwise} within {WAIT_SECONDS} s")
            time.sleep(_POLL_SECONDS)


def _is_drained(queue: EventQueue) -> bool:
    depth = queue.depth()
    return not depth.list_events and not depth.stream_entries
