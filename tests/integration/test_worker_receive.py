import os
import subprocess
import sys
import time

import msgspec
import pytest
import redis

from log_events.event_queue import EventQueue
from log_events.heartbeat import WorkerHeartbeat
from log_events.keys import GROUP
from worker.peers import running_heads
from worker.receive import Receiver, is_no_group, worker_name

HOST = "this-host"


@pytest.fixture
def queue(any_redis_url):
    with redis.Redis.from_url(any_redis_url) as client:
        queue = EventQueue(client)
        queue.ensure_group()
        yield queue


def receiver(queue: EventQueue, worker: str | None = None) -> Receiver:
    return Receiver(queue, f"{worker or worker_name(HOST)}/0", HOST)


def beat(queue: EventQueue, name: str) -> None:
    now = time.time()
    queue.beat(WorkerHeartbeat(name=name, host=HOST, pid=1, state="running", started_at=now, last_progress_at=now))


def claimed_within(seconds: float, claimer: Receiver) -> list:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        groups = claimer.claim()
        if groups:
            return groups
        time.sleep(0.05)
    return []


def pid_of_a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_new_entries_are_received_once_and_in_order(queue):
    ids = [queue.admit(b"frame", 1) for _ in range(3)]

    first = receiver(queue).receive()

    assert [entry.id for entry in first] == ids
    assert not any(entry.is_redelivered for entry in first)
    assert receiver(queue).receive(block=False) == []


def test_the_number_of_entries_asked_for_follows_their_size(queue):
    consumer = receiver(queue)
    for _ in range(12):
        queue.admit(b"x" * 3_000_000, 1)

    assert [len(consumer.receive()) for _ in range(3)] == [4, 1, 1]


def test_what_a_dead_process_of_this_host_left_is_claimed_within_seconds(queue):
    queue.admit(b"frame", 1)
    dead = receiver(queue, f"{HOST}:{pid_of_a_dead_process()}:1")
    left = dead.receive()

    groups = claimed_within(3, receiver(queue))

    assert [[entry.id for entry in group] for group in groups] == [[left[0].id]]
    assert groups[0][0].is_redelivered


def test_what_a_dead_process_of_this_host_left_is_claimed_soon_after_its_last_beat(queue, monkeypatch):
    monkeypatch.setattr("worker.receive.MISSED_BEAT_SECONDS", 0.5)
    queue.admit(b"frame", 1)
    dead = f"{HOST}:{pid_of_a_dead_process()}:1"
    receiver(queue, dead).receive()
    beat(queue, dead)

    assert claimed_within(3, receiver(queue))


def test_what_a_former_process_with_our_own_process_id_left_is_claimed(queue):
    queue.admit(b"frame", 1)
    receiver(queue, f"{HOST}:{os.getpid()}:before").receive()

    assert claimed_within(3, receiver(queue))


def test_what_a_worker_that_beats_has_in_hand_is_left_to_it(queue):
    queue.admit(b"frame", 1)
    peer = "other-host:1:1"
    receiver(queue, peer).receive()
    beat(queue, peer)

    assert claimed_within(1.5, receiver(queue)) == []


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1], ids=["our own", "nobody's here"])
def test_a_worker_that_beats_under_our_host_name_from_another_container_is_no_dead_neighbour(queue, pid):
    queue.admit(b"frame", 1)
    peer = f"{HOST}:{pid}:1"
    receiver(queue, peer).receive()
    beat(queue, peer)
    time.sleep(1.1)

    assert receiver(queue).claim() == []


def test_a_heartbeat_of_a_newer_release_is_a_sign_of_life_too(queue):
    queue.admit(b"frame", 1)
    peer = "other-host:1:1"
    receiver(queue, peer).receive()
    queue.admit(b"frame", 1)
    receiver(queue, "silent-host:1:1").receive()
    beat(queue, peer)
    said = queue.client.hget(queue.keys.workers, peer)
    queue.client.hset(queue.keys.workers, peer, said.replace(b'"running"', b'"resting"'))
    with pytest.raises(msgspec.ValidationError):
        queue.heartbeats()
    time.sleep(1.1)

    claimer = receiver(queue)

    assert len(claimed_within(1, claimer)) == 1
    assert claimer.claim() == []


def test_what_a_silent_worker_of_another_host_left_is_claimed(queue):
    queue.admit(b"frame", 1)
    receiver(queue, "other-host:1:1").receive()

    assert claimed_within(3, receiver(queue))


def test_an_entry_delivered_too_often_is_claimed_alone(queue):
    suspect, innocent, also_innocent = (queue.admit(b"frame", 1) for _ in range(3))
    receiver(queue, "other-host:1:1").receive()
    client, stream = queue.client, queue.keys.stream
    client.xclaim(stream, GROUP, "other-host:1:1/0", 0, [suspect], retrycount=4)
    time.sleep(1.1)

    groups = claimed_within(3, receiver(queue))

    assert [[entry.id for entry in group] for group in groups] == [[innocent, also_innocent], [suspect]]


def test_an_entry_that_is_gone_but_still_pending_is_not_delivered(queue):
    entry_id = queue.admit(b"frame", 1)
    receiver(queue, "other-host:1:1").receive()
    queue.client.xdel(queue.keys.stream, entry_id)
    time.sleep(1.1)

    assert receiver(queue).claim() == []


@pytest.mark.parametrize("command", ["xreadgroup", "xclaim"])
def test_entries_whose_delivery_got_lost_on_its_way_are_received_again(queue, monkeypatch, command):
    ids = [queue.admit(b"frame", 1) for _ in range(3)]
    consumer = receiver(queue)
    if command == "xclaim":
        monkeypatch.setattr("worker.receive.SHORTEST_IDLE_SECONDS", 0.0)
        receiver(queue, "other-host:1:1").receive()
    answered = getattr(queue.client, command)

    def unheard(*args, **options):
        answered(*args, **options)
        raise redis.ConnectionError("the answer is lost")

    monkeypatch.setattr(queue.client, command, unheard)
    with pytest.raises(redis.ConnectionError):
        consumer.claim() if command == "xclaim" else consumer.receive()
    monkeypatch.undo()

    received = consumer.receive(block=False)

    assert [entry.id for entry in received] == ids
    assert all(entry.is_redelivered for entry in received)
    queue.client.xack(queue.keys.stream, GROUP, *ids)
    assert consumer.receive(block=False) == []


def test_only_the_worker_itself_is_left_out_of_the_running_heads(queue):
    own, namesake = f"{HOST}:1:a", f"{HOST}:1:b"
    now = time.time()
    for name in (own, namesake):
        told = {"host": HOST, "pid": 1, "state": "running", "started_at": now, "last_progress_at": now}
        queue.beat(WorkerHeartbeat(name=name, head=f"head of {name}", **told))

    assert running_heads(queue, own)() == {f"head of {namesake}"}
    assert running_heads(queue)() == {f"head of {own}", f"head of {namesake}"}


def test_a_lost_group_is_told_from_other_troubles(queue):
    queue.client.flushall()

    with pytest.raises(redis.ResponseError) as caught:
        receiver(queue).receive()

    assert is_no_group(caught.value)
    assert not is_no_group(redis.ConnectionError("away"))


def test_a_consumer_leaves_the_group_only_when_nothing_of_it_is_pending(queue):
    queue.admit(b"frame", 1)
    worker = worker_name(HOST)
    entry = receiver(queue, worker).receive()[0]

    assert not queue.leave(f"{worker}/0")
    queue.client.xack(queue.keys.stream, GROUP, entry.id)
    assert queue.leave(f"{worker}/0")
