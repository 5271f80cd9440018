"""A producer whose Redis is away, slow, full, or loses its answers."""

import json
import logging
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from log_events import frame_sender
from log_events.event_queue import Acknowledgement, EventQueue
from log_events.kinds import KindCounts
from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.system_log import SystemLogEvent
from log_events.wire import decode_frame
from servers.ports import free_port
from servers.valkey import RedisServer
from tests.fixtures.log_events import event_queue, events_in, wait_until
from tests.fixtures.logs import system_event


@pytest.fixture
def own_server(tmp_path) -> Iterator[RedisServer]:
    """A durable server that a test may stop."""
    server = RedisServer.start(tmp_path)
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.stop()


@pytest.fixture
def dead_url() -> str:
    """The URL of a port where nobody listens."""
    return f"redis://:secret@127.0.0.1:{free_port()}/0"


def test_redis_away_and_back_again_loses_nothing_within_the_buffer(own_server, tmp_path, new_producer):
    producer = new_producer(own_server.url)
    producer.emit(system_event(message="before"))
    assert producer.flush(5)
    own_server.kill()
    for number in range(5000):
        assert producer.emit(system_event(message=str(number)))
    assert not producer.flush(0.3)
    assert producer.counters.buffered_events == 5000

    with RedisServer.start(tmp_path, port=own_server.port) as server:
        assert producer.flush(20)
        messages = [event.message for event in events_in(server.url)]
    assert len(messages) == 5001
    assert set(messages) == {"before", *map(str, range(5000))}
    assert producer.counters.dropped_events == 0


def test_beyond_the_buffer_events_are_dropped_and_counted_by_level(dead_url, new_producer):
    producer = new_producer(dead_url, buffer_max_bytes=10_000)
    verdicts = {"DEBUG": 0, "ERROR": 0}
    for number in range(1000):
        level = "ERROR" if number % 4 == 0 else "DEBUG"
        verdicts[level] += not producer.emit(system_event(level=level))

    counters = producer.counters
    assert counters.dropped_by_kind == verdicts
    assert counters.dropped_events + counters.buffered_events == 1000
    assert 9_500 < counters.buffered_bytes <= 10_000


def test_what_was_kept_arrives_after_others_were_dropped(own_server, new_producer):
    producer = new_producer(own_server.url, buffer_max_bytes=10_000)
    own_server.process.send_signal(signal.SIGSTOP)
    taken = sum(producer.emit(system_event()) for _ in range(1000))
    own_server.process.send_signal(signal.SIGCONT)

    assert producer.flush(20)
    assert 0 < taken < 1000
    assert len({event.id for event in events_in(own_server.url) if event.component != "log_events"}) == taken
    assert producer.emit(system_event())


def test_one_event_tells_how_many_were_dropped_of_which_level_why_and_when(own_server, tmp_path, new_producer):
    producer = new_producer(own_server.url, buffer_max_bytes=10_000, service_name="shop")
    producer.emit(system_event())
    assert producer.flush(5)
    own_server.kill()
    dropped = Counter({"INFO": 0, "ERROR": 0})
    for number in range(1000):
        level = "ERROR" if number % 4 == 0 else "INFO"
        dropped[level] += not producer.emit(system_event(level=level))
    wait_until(lambda: bool(producer._buffer.trouble))
    dropped["DEBUG"] += not producer.emit(system_event(level="DEBUG", message="x" * 10_000))

    with RedisServer.start(tmp_path, port=own_server.port) as server:
        assert producer.flush(20)
        wait_until(lambda: bool(told(server.url)))
        producer.close()
        (event,) = told(server.url)
    details = json.loads(event.extra_data)
    assert (event.level, event.service, details["event"]) == ("WARNING", "shop", "events_dropped")
    assert details["dropped"] == dict(dropped)
    assert sum(details["reasons"].values()) == dropped.total()
    assert "Redis does not take log events (ConnectionError)" in event.message
    assert details["from"] < details["to"] < event.created_at.isoformat()


def told(url: str) -> list[SystemLogEvent]:
    """The events in which producers speak of themselves."""
    return [event for event in events_in(url) if event.component == "log_events"]


def test_emitting_takes_no_longer_while_redis_hangs(own_server, new_producer):
    producer = new_producer(own_server.url)
    producer.emit(system_event())
    producer.flush(5)
    own_server.process.send_signal(signal.SIGSTOP)
    event, longest = system_event(message="x" * 1000), 0.0
    for _ in range(2000):
        started = time.perf_counter()
        producer.emit(event)
        longest = max(longest, time.perf_counter() - started)

    assert longest < 0.5  # seconds; a hanging Redis answers after 5


def test_closing_keeps_its_deadline_while_redis_hangs_and_says_what_was_lost(own_server, new_producer, capfd):
    producer = new_producer(own_server.url)
    for level in ("INFO", "INFO", "ERROR"):
        producer.emit(system_event(level=level))
    own_server.process.send_signal(signal.SIGSTOP)
    producer.emit(system_event())
    started = time.monotonic()

    assert not producer.close(0.5)
    assert 0.4 < time.monotonic() - started < 1.0
    assert "events were given up after 0.5 s" in capfd.readouterr().err
    assert producer.counters.dropped_events == 4
    assert producer.counters.buffered_events == 0


@pytest.mark.parametrize("limit", ["LOGS_QUEUE_MAX_BYTES", "maxmemory"])
def test_a_full_redis_gets_the_events_once_it_is_drained(any_redis_url, new_producer, limit):
    queue = event_queue(any_redis_url)
    with closing(queue.client) as client:
        settings = {"queue_max_bytes": 2_000_000} if limit == "LOGS_QUEUE_MAX_BYTES" else {}
        if limit == "maxmemory":  # what is on its way to the server counts too, some frames of 1 MiB
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 6_000_000)
        producer = new_producer(any_redis_url, **settings)
        try:
            for number in range(1000):
                producer.emit(system_event(message=f"{number} " + "x" * 10_000))
            assert not producer.flush(0.5)
            assert producer.counters.buffered_events > 0
            seen = _drained(queue, producer)
        finally:
            client.config_set("maxmemory", 0)

    assert sorted(seen) == list(range(1000))
    assert producer.counters.dropped_events == 0


def _drained(queue: EventQueue, producer: Producer) -> list[int]:
    """Take entries out as a worker would, until nothing comes any more; return the events' numbers."""
    numbers: list[int] = []
    while not producer.flush(0.05) or queue.client.xlen(queue.keys.stream):
        for entry_id, entry in queue.client.xrange(queue.keys.stream, count=5):
            numbers += [int(event.message.split()[0]) for event in decode_frame(entry[b"z"])]
            queue.acknowledge([Acknowledgement(entry_id, len(entry[b"z"]), KindCounts(int(entry[b"n"])))])
    return numbers


def test_a_server_without_memory_still_hears_the_producers_report(any_redis_url, new_producer):
    queue = event_queue(any_redis_url)
    with closing(queue.client) as client:
        client.config_set("maxmemory", 1)
        try:
            producer = new_producer(any_redis_url, thread_pool_size=1)
            producer.emit(system_event())
            wait_until(lambda: len(queue.producer_reports()) == 1)
        finally:
            client.config_set("maxmemory", 0)
        assert producer.flush(10)


def test_a_producer_that_cannot_send_goes_on_reporting_what_it_holds(redis_url, new_producer, monkeypatch):
    monkeypatch.setattr(frame_sender, "REPORT_INTERVAL_SECONDS", 0.05)
    queue = event_queue(redis_url)
    with closing(queue.client):
        queue.admit(b"x" * 2000, 1)
        producer = new_producer(queue_max_bytes=2000, thread_pool_size=1)
        producer.emit(system_event())
        wait_until(lambda: any(seen.report.buffered_events for seen in queue.producer_reports()))


class AnswerSwallower:
    """A proxy that hands requests on, and loses the answers to the first scripts instead of handing them back."""

    def __init__(self, port: int, password: str, answers_to_lose: int) -> None:
        self._server_port = port
        self._answers_to_lose = answers_to_lose
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://:{password}@127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server, suppress(OSError):
            while request := client.recv(1 << 22):
                server.sendall(request)
                answer = server.recv(1 << 22)
                is_admission = b":stream" in request and not answer.startswith(b"-")
                if is_admission and self._answers_to_lose:
                    self._answers_to_lose -= 1
                    return
                client.sendall(answer)


def test_a_frame_whose_answer_was_lost_is_sent_again_with_the_same_identities(own_server, new_producer):
    password = own_server.url.split("@")[0].removeprefix("redis://:")
    with closing(AnswerSwallower(own_server.port, password, answers_to_lose=2)) as proxy:
        producer = new_producer(proxy.url, thread_pool_size=1)
        event = system_event()
        producer.emit(event)

        assert producer.flush(10)
        producer.close()
    assert events_in(own_server.url) == [event] * 3
    assert producer.counters.accepted_events == 1


def test_trouble_is_told_on_stderr_once_in_ten_seconds_and_without_the_password(dead_url, new_producer, capfd):
    producer = new_producer(dead_url)
    for _ in range(20):
        producer.emit(system_event())
        producer.flush(0.05)

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "ConnectionError" in lines[0]
    assert "kept in memory and sent again" in lines[0]
    assert "secret" not in lines[0]


class Recorder(logging.Handler):
    """Keeps the messages it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_the_redis_clients_own_lines_do_not_become_events_which_it_would_log_again(own_server, new_producer):
    # One thread: it is the use of its open connection that fails, not the opening of another thread's, which says less.
    producer = new_producer(f"{own_server.url}?socket_timeout=0.3", thread_pool_size=1)
    logger, handlers = logging.getLogger("redis"), (LogHandler(producer=producer), Recorder())
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        producer.emit(system_event())
        assert producer.flush(5)
        own_server.process.send_signal(signal.SIGSTOP)
        producer.emit(system_event())
        wait_until(lambda: "Operation failed" in "".join(handlers[1].messages))
    finally:
        logger.setLevel(logging.NOTSET)
        for handler in handlers:
            logger.removeHandler(handler)

    assert producer.counters.buffered_events == 1
