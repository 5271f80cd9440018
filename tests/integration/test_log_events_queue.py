"""The scripts of the queue, on every server they must work on."""

import contextlib
import json

import pytest
import redis

from log_events.event_queue import Acknowledgement, Bridged, EventQueue, QueueFullError
from log_events.heartbeat import ProducerReport, WorkerHeartbeat
from log_events.keys import GROUP
from log_events.kinds import KindCounts
from tests.fixtures.log_events import event_queue

ENTRY_BYTES = 1 << 20


@pytest.fixture
def event_queue_of_any_server(any_redis_url):
    with contextlib.closing(redis.Redis.from_url(any_redis_url)) as client:
        yield EventQueue(client)


@pytest.fixture
def queue(event_queue_of_any_server) -> EventQueue:
    return event_queue_of_any_server


@pytest.fixture
def full_server(queue):
    """A function that leaves the server without memory for anything more."""
    client = queue.client

    def fill() -> None:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 200_000)
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            for number in range(10_000):
                client.set(f"filler:{number}", b"x" * 10_000)

    yield fill
    client.config_set("maxmemory", 0)


def push(queue: EventQueue, *values: bytes) -> None:
    for value in values:
        queue.client.lpush(queue.keys.list, value)


def read(queue: EventQueue, count: int = 1000) -> list[tuple[bytes, dict[bytes, bytes]]]:
    answer = queue.client.xreadgroup(GROUP, "me", {queue.keys.stream: ">"}, count=count)
    return answer[0][1] if answer else []


def bridge(queue: EventQueue, max_events: int = 1000, max_entry_bytes: int = ENTRY_BYTES, **limits: int) -> Bridged:
    return queue.bridge(max_events=max_events, max_entry_bytes=max_entry_bytes, **limits)


def test_an_admitted_frame_is_counted_in_events_and_bytes(queue):
    first = queue.admit(b"12345", 3)
    second = queue.admit(b"678", 2)

    assert first < second
    depth = queue.depth()
    assert (depth.stream_entries, depth.stream_events, depth.stream_bytes) == (2, 5, 8)
    entry_id, fields = queue.client.xrange(queue.keys.stream)[0]
    generation = queue.client.get(queue.keys.generation)
    assert (entry_id, fields) == (first, {b"v": b"1", b"n": b"3", b"l": b"0", b"g": generation, b"z": b"12345"})


def test_a_frame_that_would_exceed_the_limit_is_refused_and_leaves_no_trace(queue):
    queue.admit(b"x" * 90, 1, max_bytes=100)
    with pytest.raises(QueueFullError, match="holds 90 bytes"):
        queue.admit(b"x" * 11, 1, max_bytes=100)

    queue.admit(b"x" * 10, 1, max_bytes=100)
    assert queue.depth().stream_bytes == 100


def test_a_server_without_memory_refuses_a_frame_and_leaves_no_trace(queue, full_server):
    full_server()
    with pytest.raises(QueueFullError):
        queue.admit(b"x" * 100_000, 1)

    assert queue.depth().stream_events == 0


def test_acknowledged_entries_leave_stream_and_counters(queue):
    queue.ensure_group()
    first, second = queue.admit(b"12345", 3), queue.admit(b"678", 2)
    read(queue)

    assert queue.acknowledge([Acknowledgement(first, 5, KindCounts(3))]) == 1
    depth = queue.depth()
    assert (depth.stream_entries, depth.stream_events, depth.stream_bytes, depth.in_flight_entries) == (1, 2, 3, 1)
    assert queue.acknowledge([Acknowledgement(second, 3, KindCounts(2))]) == 1
    depth = queue.depth()
    assert (depth.events, depth.stream_bytes, depth.in_flight_entries) == (0, 0, 0)
    assert depth.oldest_age_seconds is None


def test_a_second_acknowledgement_changes_nothing(queue):
    queue.ensure_group()
    entry, other = queue.admit(b"12345", 3), queue.admit(b"1", 1)
    read(queue)
    acknowledgement = Acknowledgement(entry, 5, KindCounts(3))
    queue.acknowledge([acknowledgement])

    assert queue.acknowledge([acknowledgement]) == 0
    assert queue.depth().stream_events == 1
    assert queue.client.xrange(queue.keys.stream)[0][0] == other


def test_a_server_without_memory_still_drains(queue, full_server):
    queue.ensure_group()
    for _ in range(50):
        queue.admit(b"x" * 10_000, 7)
    full_server()
    entries = read(queue)

    assert len(entries) == 50
    assert queue.acknowledge([Acknowledgement(entry_id, 10_000, KindCounts(7)) for entry_id, _ in entries]) == 50
    assert queue.depth().events == 0


def test_counters_that_were_lost_do_not_fall_below_zero(queue):
    queue.ensure_group()
    entry = queue.admit(b"12345", 3)
    read(queue)
    queue.client.delete(queue.keys.events, queue.keys.bytes)
    queue.acknowledge([Acknowledgement(entry, 5, KindCounts(3))])

    assert (queue.depth().stream_events, queue.depth().stream_bytes) == (0, 0)


def test_the_bridge_carries_the_oldest_first_many_in_one_entry(queue):
    push(queue, *(b"event %d" % number for number in range(5)))

    assert bridge(queue, max_events=3) == Bridged(events=3, left=2)
    assert bridge(queue, max_events=3) == Bridged(events=2, left=0)
    (_, first), (_, second) = queue.client.xrange(queue.keys.stream)
    assert [first[b"0"], first[b"1"], first[b"2"]] == [b"event 0", b"event 1", b"event 2"]
    assert [second[b"0"], second[b"1"]] == [b"event 3", b"event 4"]
    assert (first[b"src"], first[b"n"]) == (b"list", b"3")
    assert first[b"g"] == second[b"g"] == queue.client.get(queue.keys.generation)


def test_the_bridge_keeps_the_counters_exact(queue):
    push(queue, b"12345", b"678")
    assert queue.depth().events == 2
    bridge(queue)

    depth = queue.depth()
    assert (depth.list_events, depth.stream_events, depth.stream_bytes, depth.stream_entries) == (0, 2, 8, 1)


def test_an_entry_of_the_bridge_ends_where_its_bytes_are_reached(queue):
    push(queue, *(b"x" * 100 for _ in range(10)))

    assert bridge(queue, max_entry_bytes=250) == Bridged(events=3, left=7)


def test_the_bridge_holds_back_while_the_stream_is_full(queue):
    queue.admit(b"x" * 100, 1)
    push(queue, b"waits")

    assert bridge(queue, max_bytes=100) == Bridged(events=0, left=1)
    assert queue.depth().list_events == 1


def test_the_bridge_has_nothing_to_do_without_a_list(queue):
    assert bridge(queue) == Bridged(events=0, left=0)
    assert not queue.client.exists(queue.keys.stream)


def test_a_list_key_of_another_type_is_named_and_left_alone(queue):
    queue.client.set(queue.keys.list, "mine")
    with pytest.raises(redis.ResponseError, match="NOTLIST logs_queue is a string"):
        bridge(queue)

    assert queue.client.get(queue.keys.list) == b"mine"
    assert queue.depth().list_type == "string"


def test_a_stream_key_of_another_type_is_named_and_the_list_left_alone(queue):
    queue.client.set(queue.keys.stream, "mine")
    push(queue, b"waits")
    with pytest.raises(redis.ResponseError, match="NOTSTREAM"):
        bridge(queue)

    assert queue.client.lrange(queue.keys.list, 0, -1) == [b"waits"]


def test_a_server_without_memory_still_bridges(queue, full_server):
    push(queue, *(b"%d" % number * 100 for number in range(200)))
    full_server()

    assert bridge(queue) == Bridged(events=200, left=0)
    assert queue.depth().stream_events == 200


def test_nothing_is_lost_and_no_order_changed_when_the_stream_cannot_take_what_the_list_gave(queue):
    # The last id there can be: XADD after it fails.
    queue.client.xadd(queue.keys.stream, {"v": "1"}, id="18446744073709551615-18446744073709551615")
    values = [b"event %d" % number for number in range(5)]
    push(queue, *values)
    with pytest.raises(redis.ResponseError):
        bridge(queue, max_events=3)

    assert queue.client.lrange(queue.keys.list, 0, -1) == values[::-1]
    assert queue.depth().stream_events == 0


def test_a_call_carries_no_more_than_lua_can_pass_on_and_loses_nothing(queue):
    push(queue, *(b"%d" % number for number in range(9000)))
    carried = []
    while (bridged := bridge(queue, max_events=9000)).events:
        carried.append(bridged.events)

    assert sum(carried) == 9000
    assert queue.depth().stream_events == 9000


def test_a_generation_of_another_type_stops_the_bridge_before_it_takes_anything(queue):
    queue.client.lpush(queue.keys.generation, "mine")
    push(queue, b"waits")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        bridge(queue)

    assert queue.depth().list_events == 1


def test_a_counter_of_another_type_stops_admission_and_bridge_before_they_take_anything(queue):
    queue.client.lpush(queue.keys.events, "mine")
    push(queue, b"waits")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        queue.admit(b"12345", 3)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        bridge(queue)

    assert queue.client.xlen(queue.keys.stream) == 0
    assert queue.client.llen(queue.keys.list) == 1


def test_the_group_is_created_once_and_begins_at_the_beginning(queue):
    queue.admit(b"before", 1)

    assert queue.ensure_group()
    assert not queue.ensure_group()
    assert [fields[b"z"] for _, fields in read(queue)] == [b"before"]


def test_a_server_without_memory_still_creates_the_group(queue, full_server):
    full_server()

    assert queue.ensure_group()


def test_depth_tells_the_age_of_the_oldest_entry(queue):
    queue.client.xadd(queue.keys.stream, {"v": "1"}, id="1-1")

    assert queue.depth().oldest_age_seconds > 1_000_000_000


def test_reports_and_heartbeats_are_told_with_their_age_on_a_server_without_memory_too(queue, full_server):
    full_server()
    report = ProducerReport(name="p", host="h", pid=1, dropped_events=3, dropped_by_kind={"INFO": 3})
    heartbeat = WorkerHeartbeat(name="w", host="h", pid=2, state="running", started_at=1.0, last_progress_at=2.0)
    queue.report(report)
    queue.beat(heartbeat)

    (seen,) = queue.producer_reports()
    assert seen.report == report
    assert seen.age_seconds < 5
    assert [seen.report for seen in queue.heartbeats()] == [heartbeat]


def test_who_leaves_is_forgotten(queue):
    queue.report(ProducerReport(name="p", host="h", pid=1))
    queue.beat(WorkerHeartbeat(name="w", host="h", pid=2, state="running", started_at=1.0, last_progress_at=2.0))
    queue.forget_producer("p")
    queue.forget_worker("w")

    assert queue.producer_reports() == queue.heartbeats() == []


def test_a_report_of_a_former_version_is_understood(redis_url):
    queue = event_queue(redis_url)
    with queue.client as client:
        client.hset(queue.keys.producers, "p", "0 " + json.dumps({"name": "p", "host": "h", "pid": 1}))

        assert queue.producer_reports()[0].report.dropped_by_kind == {}


def test_who_has_been_silent_for_an_hour_is_forgotten(queue):
    queue.client.hset(queue.keys.producers, "old", '1 {"name":"old","host":"h","pid":1}')
    queue.report(ProducerReport(name="new", host="h", pid=1))

    assert [seen.report.name for seen in queue.producer_reports()] == ["new"]
