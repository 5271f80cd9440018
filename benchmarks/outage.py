"""
Takes Redis away for N seconds (60, or HEADHUNTER_BENCH_SECONDS) under 2,000 events a second: what a producer with a
spool keeps, in memory and on disk, and how fast it catches up.  Fails where an event is lost or dropped.

The producer is a process of its own, which logs at its pace before, during and after; what arrived is read from the
stream.  Caveat: pace and catch-up share the machine with Redis and this script.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from log_events.event_queue import EventQueue
from log_events.keys import QueueKeys
from log_events.wire import decode_frame
from servers.ports import free_port
from servers.valkey import RedisServer

SECONDS = float(os.environ.get("HEADHUNTER_BENCH_SECONDS", "60"))
EVENTS_PER_SECOND = 2000
AROUND_SECONDS = 3.0
"""How long the producer logs before the outage and after it."""
SAMPLES = 12

PRODUCER = """
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


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder, spool, port = Path(name), Path(name) / "spool", free_port()
        server = RedisServer.start(folder / "redis", port=port)
        url = server.url
        with _producer(url, spool, seconds + 2 * AROUND_SECONDS) as process:
            time.sleep(AROUND_SECONDS)
            server.kill()
            print(f"{'second':>7} {'memory':>9} {'spool':>9}   Redis is away")
            _watch(process, spool, seconds)
            server = RedisServer.start(folder / "redis", port=port)
            caught_up_seconds, spooled_bytes = _until_empty(spool)
            sent = _answer(process)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            ended = _answer(process)
        arrived, distinct = _arrived(url)
        server.stop()
    catch_up = round(ended["spooled"] / caught_up_seconds)
    print(
        f"sent {sent['sent']}, arrived {distinct} ({arrived - distinct} twice), dropped {ended['dropped']}; "
        f"{ended['spooled']} events went through the spool ({spooled_bytes / 1e6:.1f} MB), caught up in "
        f"{caught_up_seconds:.2f} s = {catch_up} events/s beside {EVENTS_PER_SECOND} new ones; "
        f"longest logger.info {sent['longest_emit_ms']} ms; peak memory {ended['peak_memory_mib']} MiB"
    )
    figures = {"seconds": seconds, "arrived": distinct, "twice": arrived - distinct, "catch_up_per_second": catch_up}
    print(json.dumps({f"outage_{key}": value for key, value in (sent | ended | figures).items()}))
    if distinct != sent["sent"] or ended["dropped"]:
        sys.exit("events were lost")


@contextmanager
def _producer(url: str, spool: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", PRODUCER, url, str(spool), str(seconds), str(EVENTS_PER_SECOND)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _watch(process: subprocess.Popen[str], spool: Path, seconds: float) -> None:
    began = time.monotonic()
    for sample in range(1, SAMPLES + 1):
        time.sleep(max(0.0, began + seconds * sample / SAMPLES - time.monotonic()))
        memory = Path(f"/proc/{process.pid}/statm")
        resident = int(memory.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if memory.exists() else 0
        print(f"{seconds * sample / SAMPLES:7.0f} {resident / 2**20:5.1f} MiB {_size(spool) / 1e6:6.1f} MB", flush=True)


def _until_empty(spool: Path) -> tuple[float, int]:
    """How long until the spool is empty, and what it held."""
    began, held = time.monotonic(), _size(spool)
    while _size(spool):
        time.sleep(0.01)
    return time.monotonic() - began, held


def _size(spool: Path) -> int:
    total = 0
    for path in spool.glob("*.spool*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # delivered this moment
    return total


def _answer(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdout is not None
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def _arrived(url: str) -> tuple[int, int]:
    """How many events the stream holds, and how many different ones."""
    ids: list[object] = []
    with redis.Redis.from_url(url) as client:
        queue = EventQueue(client)
        last = b"-"
        while page := client.xrange(QueueKeys().stream, min=last, count=20):
            for entry_id, entry in page:
                ids += (event.id for event in decode_frame(entry[b"z"]))
                last = b"(" + entry_id
        assert queue.depth().stream_events == len(ids)
    return len(ids), len(set(ids))


if __name__ == "__main__":
    main()
