"""What becomes of the consumers of workers that are gone, of what they left, and of a stream that is gone itself."""

import threading
import time

import pytest
import redis

from log_events.event_queue import Acknowledgement, EventQueue
from log_events.heartbeat import WorkerHeartbeat
from log_events.keys import GROUP
from log_events.kinds import KindCounts
from tests.fixtures.logs import wait_until
from worker.bridge import Bridge
from worker.pulse import Pulse
from worker.receive import CLAIM_COUNT, Receiver, is_no_group

GONE_MS = 300


@pytest.fixture
def queue(any_redis_url):
    with redis.Redis.from_url(any_redis_url) as client:
        queue = EventQueue(client)
        queue.ensure_group()
        yield queue


def receiver(queue: EventQueue, worker: str) -> Receiver:
    return Receiver(queue, f"{worker}/0", "this-host")


def consumers(queue: EventQueue) -> dict[str, dict]:
    found = queue.client.xinfo_consumers(queue.keys.stream, GROUP)
    return {consumer["name"].decode(): consumer for consumer in found}


def acknowledge(queue: EventQueue, entries: list) -> None:
    queue.acknowledge(Acknowledgement(entry.id, entry.payload_bytes, KindCounts(1)) for entry in entries)


def test_of_a_peer_that_left_thousands_every_entry_is_claimed_in_bounded_portions(queue):
    ids = {queue.admit(b"x" * 2000, 1) for _ in range(3000)}
    queue.client.xreadgroup(GROUP, "other-host:1:1/0", {queue.keys.stream: ">"}, count=3000)
    wait_until(lambda: consumers(queue)["other-host:1:1/0"]["idle"] > 1000)
    claimer, claimed, portions = receiver(queue, "this-host:1:1"), set(), []

    while groups := claimer.claim():
        for group in groups:
            portions.append(len(group))
            claimed |= {entry.id for entry in group}
            acknowledge(queue, group)

    assert claimed == ids
    assert max(portions) <= CLAIM_COUNT
    assert queue.depth().stream_events == 0


def test_what_many_dead_peers_left_is_claimed_of_one_after_the_other(queue):
    for number in range(4):
        queue.admit(b"frame", 1)
        receiver(queue, f"other-host:{number}:1").receive()
    wait_until(lambda: all(consumer["idle"] > 1000 for consumer in consumers(queue).values()))
    claimer = receiver(queue, "this-host:1:1")

    assert [len(claimer.claim()) for _ in range(5)] == [1, 1, 1, 1, 0]


def test_consumers_of_workers_that_are_gone_leave_and_no_others(queue):
    for name in ("gone:1:1/0", "alive:1:1/0"):
        queue.client.xgroup_createconsumer(queue.keys.stream, GROUP, name)
    queue.admit(b"frame", 1)
    receiver(queue, "left-something:1:1").receive(block=False)
    queue.client.xgroup_createconsumer(queue.keys.stream, GROUP, "somebody-else")
    wait_until(lambda: all(consumer["idle"] > GONE_MS for consumer in consumers(queue).values()))
    queue.client.xgroup_createconsumer(queue.keys.stream, GROUP, "just-came:1:1/0")
    now = time.time()
    queue.beat(
        WorkerHeartbeat(name="alive:1:1", host="h", pid=1, state="running", started_at=now, last_progress_at=now)
    )

    assert queue.reap(GONE_MS) == 1
    assert consumers(queue).keys() == {"alive:1:1/0", "left-something:1:1/0", "just-came:1:1/0", "somebody-else"}
    assert queue.depth().in_flight_entries == 1


def test_where_there_is_no_group_nobody_is_reaped(queue):
    queue.client.flushall()

    assert queue.reap(GONE_MS) == 0


def test_a_stream_that_is_gone_is_told_from_a_server_that_is_away(queue):
    queue.client.flushall()

    with pytest.raises(redis.ResponseError) as caught:
        receiver(queue, "this-host:1:1").claim()

    assert is_no_group(caught.value)


def test_a_flooded_list_leaves_half_of_the_stream_to_the_other_door(queue):
    stop = threading.Event()
    bridge = Bridge(queue, 8_000_000, Pulse("h:1:1", "h", 1), stop)
    queue.client.lpush(queue.keys.list, *[b"x" * 10_000] * 1000)
    running = threading.Thread(target=bridge.run, daemon=True)
    running.start()
    wait_until(lambda: queue.depth().stream_bytes >= 4_000_000)

    assert queue.admit(b"x" * 2_000_000, 1, max_bytes=8_000_000)

    stop.set()
    running.join()
    assert queue.depth().list_events > 0


@pytest.mark.parametrize("empty", ["delete", "trim"])
def test_a_stream_emptied_by_hand_closes_no_door(queue, empty):
    queue.admit(b"x" * 90, 1, max_bytes=100)
    if empty == "delete":
        queue.client.delete(queue.keys.stream)
    else:
        queue.client.xtrim(queue.keys.stream, maxlen=0)

    queue.bridge(max_events=10, max_entry_bytes=10)

    assert (queue.depth().stream_events, queue.depth().stream_bytes) == (0, 0)
    assert queue.accounts().waiting == {}
    queue.require_room(90, max_bytes=100)
    assert queue.admit(b"x" * 90, 1, max_bytes=100)
