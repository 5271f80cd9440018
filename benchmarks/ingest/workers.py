"""Worker processes on a queue that is full before they see it, timed from its appearance to its end."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.ingest.events import EVENTS_PER_FRAME
from log_events.event_queue import EventQueue

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Drained:
    """What emptying the queue took; memory is the highest of any worker, processor time that of all workers."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def drain_full_queue(url: str, redis_url: str, frames: Sequence[bytes], events: int, *, workers: int) -> Drained:
    """
    Fill the queue out of sight, start *workers*, show it to them when all are running, and wait until it is empty.

    The time of a worker's start is so left out, and two of them begin at once.
    """
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        queue = EventQueue(client)
        hidden = f"{queue.keys.stream}:hidden"
        _fill(queue, frames, events)
        client.rename(queue.keys.stream, hidden)
        with running_workers(url, redis_url, workers) as pids:
            await_running(queue, workers)
            before = _cpu_seconds(pids)
            started = time.perf_counter()
            client.rename(hidden, queue.keys.stream)
            while queue.depth().stream_entries:
                time.sleep(0.005)
            seconds = time.perf_counter() - started
            cpu_seconds = _cpu_seconds(pids) - before
            peak_mib = max(_peak_mib(pid) for pid in pids)
    return Drained(seconds, cpu_seconds, peak_mib)


def _fill(queue: EventQueue, frames: Sequence[bytes], events: int) -> None:
    queue.ensure_group()
    left = events
    for frame in frames:
        queue.admit(frame, min(EVENTS_PER_FRAME, left), max_bytes=1 << 40)
        left -= EVENTS_PER_FRAME


@contextmanager
def running_workers(url: str, redis_url: str, number: int) -> Iterator[list[int]]:
    """So many worker processes of two threads each; their ids."""
    environment = os.environ | {"LOGS_DATABASE_URL": url, "REDIS_URL": redis_url, "LOG_THREAD_POOL_SIZE": "2"}
    command = [sys.executable, "-m", "headhunter", "worker"]
    started = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(number)]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def await_running(queue: EventQueue, number: int) -> None:
    """Return once *number* workers say that they are running."""
    deadline = time.monotonic() + _START_SECONDS
    while sum(seen.report.state == "running" for seen in queue.heartbeats()) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{number} workers were not running after {_START_SECONDS:g} s.")
        time.sleep(0.01)


def _cpu_seconds(pids: Sequence[int]) -> float:
    """Source: Linux, proc(5), stat: fields 14 and 15 are user and system time in clock ticks."""
    stats = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    """Source: Linux, proc(5), status: VmHWM is the highest resident set so far, in kB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
