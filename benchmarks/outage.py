"""
Takes Redis away for N seconds (60, or HEADHUNTER_BENCH_SECONDS) under 2,000 events a second: what a producer with a
spool keeps, in memory and on disk, and how fast it catches up.  Fails where an event is lost or dropped.

The producer is a process of its own, which logs at its pace before, during and after; what arrived is read from the
stream.  Caveat: pace and catch-up share the machine with Redis and this script.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import redis

from benchmarks.ingest.paced_producer import EVENTS_PER_SECOND, PacedProducer, paced_producer, resident_mib
from log_events.event_queue import EventQueue
from log_events.keys import QueueKeys
from log_events.wire import decode_frame
from servers.ports import free_port
from servers.valkey import RedisServer

SECONDS = float(os.environ.get("HEADHUNTER_BENCH_SECONDS", "60"))
AROUND_SECONDS = 3.0
"""How long the producer logs before the outage and after it."""
SAMPLES = 12


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        server = RedisServer.start(folder / "redis", port=port)
        url = server.url
        with paced_producer(url, folder / "spool", seconds + 2 * AROUND_SECONDS) as producer:
            time.sleep(AROUND_SECONDS)
            server.kill()
            print(f"{'second':>7} {'memory':>9} {'spool':>9}   Redis is away")
            _watch(producer, seconds)
            server = RedisServer.start(folder / "redis", port=port)
            caught_up_seconds, spooled_bytes = _until_empty(producer)
            sent, ended = producer.what_it_sent(), producer.close()
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


def _watch(producer: PacedProducer, seconds: float) -> None:
    began = time.monotonic()
    for sample in range(1, SAMPLES + 1):
        time.sleep(max(0.0, began + seconds * sample / SAMPLES - time.monotonic()))
        resident, spooled = resident_mib(producer.process.pid), producer.spool_bytes() / 1e6
        print(f"{seconds * sample / SAMPLES:7.0f} {resident:5.1f} MiB {spooled:6.1f} MB", flush=True)


def _until_empty(producer: PacedProducer) -> tuple[float, int]:
    """How long until the spool is empty, and what it held."""
    began, held = time.monotonic(), producer.spool_bytes()
    while producer.spool_bytes():
        time.sleep(0.01)
    return time.monotonic() - began, held


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
