"""A process that logs at an even pace through a producer with a spool, and tells what it sent and held."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVENTS_PER_SECOND = 2000
_SCRIPT = """
import json, logging, resource, sys, time
from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.producer_settings import ProducerSettings

url, folder, seconds, rate = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
producer = Producer(ProducerSettings(redis_url=url, spool_folder=folder))
logger = logging.getLogger("outage")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(LogHandler(producer=producer))
began, sent, longest = time.monotonic(), 0, 0.0
while (now := time.monotonic() - began) < seconds:
    while sent < now * rate:
        at = time.perf_counter()
        logger.info("candidate %d was moved to the next stage", sent, extra={"number": sent, "padding": "x" * 200})
        longest = max(longest, time.perf_counter() - at)
        sent += 1
    time.sleep(0.002)
print(json.dumps({"sent": sent, "longest_emit_ms": round(longest * 1000, 1)}), flush=True)
sys.stdin.readline()
producer.close()
counters = producer.counters
print(json.dumps({
    "dropped": counters.dropped_events,
    "spooled": counters.spooled_events,
    "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}), flush=True)
"""

Answer = dict[str, float]


class PacedProducer:
    """The running process and the folder of its spool."""

    def __init__(self, process: subprocess.Popen[str], spool: Path) -> None:
        self.process = process
        self.spool = spool

    def what_it_sent(self) -> Answer:
        """Wait until it has logged all it was to log: ``sent`` and ``longest_emit_ms``."""
        assert self.process.stdout is not None
        answer: Answer = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> Answer:
        """Let it deliver what it holds and end: ``dropped``, ``spooled`` and ``peak_memory_mib``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.what_it_sent()

    def spool_bytes(self) -> int:
        """What its spool holds now."""
        total = 0
        for path in self.spool.glob("*.spool*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue  # delivered this moment
        return total


@contextmanager
def paced_producer(url: str, spool: Path, seconds: float) -> Iterator[PacedProducer]:
    """A producer that logs EVENTS_PER_SECOND for *seconds*."""
    arguments = [sys.executable, "-c", _SCRIPT, url, str(spool), str(seconds), str(EVENTS_PER_SECOND)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield PacedProducer(process, spool)
        finally:
            process.kill()


def resident_mib(pid: int) -> float:
    """The resident memory of a process now; 0 where it has ended."""
    memory = Path(f"/proc/{pid}/statm")
    return int(memory.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if memory.exists() else 0.0
