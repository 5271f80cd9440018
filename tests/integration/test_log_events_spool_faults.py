"""A spool among processes that are killed, forked and many, on a disk that is full, damaged or not there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from log_events.spool_segment import SUFFIX
from servers.valkey import RedisServer
from tests.fixtures.log_events import (
    PROGRAM,
    events_in,
    messages_in,
    run_checked,
    segments,
    spooled_bytes,
    started_at,
    wait_until,
)
from tests.fixtures.logs import system_event

KILLED = """
settings = ProducerSettings(redis_url=os.environ["REDIS_URL"], spool_folder=sys.argv[1], flush_interval_seconds=0.001)
producer = Producer(settings)
logger.addHandler(LogHandler(producer=producer))
for number in range(1_000_000):
    logger.info("%d", number)
    if number % 7 == 0 and producer.flush(10):
        print(number, flush=True)
"""


def test_what_a_killed_process_was_told_is_kept_is_delivered_by_the_next_one(spooling, away, tmp_path, spool_folder):
    last = []
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM + KILLED, spool_folder],
            env={"PATH": os.environ["PATH"], "REDIS_URL": away},
            stdout=subprocess.PIPE,
            text=True,
        )
        seen = [process.stdout.readline() for _ in range(random.randint(5, 60))]
        process.kill()
        last.append(int((seen + process.stdout.read().split())[-1]))
        process.wait()
        process.stdout.close()
    with started_at(away, tmp_path):
        spooling(away).start()
        wait_until(lambda: not segments(spool_folder))
        counts = messages_in(away)

    for number in range(max(last) + 1):
        assert counts[str(number)] >= sum(number <= most for most in last), number


def test_two_processes_share_a_folder_and_each_event_arrives(away, tmp_path, spool_folder):
    program = (
        PROGRAM
        + """
settings = ProducerSettings(redis_url=os.environ["REDIS_URL"], spool_folder=sys.argv[1], close_timeout_seconds=1)
producer = Producer(settings)
logger.addHandler(LogHandler(producer=producer))
for number in range(3000):
    logger.info("%s %d", sys.argv[2], number)
    if number % 100 == 0:
        producer.flush(5)
"""
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, spool_folder, name],
            env={"PATH": os.environ["PATH"], "REDIS_URL": away},
        )
        for name in ("a", "b")
    ]
    assert [process.wait(30) for process in processes] == [0, 0]
    assert len({path.name.split("-")[1] for path in segments(spool_folder)}) == 2

    with started_at(away, tmp_path) as server:
        settings = {"spool_folder": str(spool_folder), "redis_url": away}
        run_checked(
            f"""
import time
producers = [Producer(ProducerSettings(**{settings!r})) for _ in range(2)]
for producer in producers:
    producer.start()
while any(name.endswith("{SUFFIX}") for name in os.listdir({str(spool_folder)!r})):
    time.sleep(0.01)
""",
            away,
        )
        assert server.process.poll() is None
        assert set(messages_in(away)) == {f"{name} {number}" for name in "ab" for number in range(3000)}


def test_at_the_end_of_a_program_what_redis_does_not_take_goes_to_the_spool(spooling, away, tmp_path, spool_folder):
    errors = run_checked(
        f"""
settings = ProducerSettings(
    redis_url=os.environ["REDIS_URL"], spool_folder={str(spool_folder)!r}, flush_interval_seconds=60
)
logger.addHandler(LogHandler(producer=Producer(settings)))
for number in range(100):
    logger.info("%d", number)
""",
        away,
    )
    assert "given up" not in errors
    with started_at(away, tmp_path):
        spooling(away).start()
        wait_until(lambda: not segments(spool_folder))
        assert messages_in(away) == Counter(map(str, range(100)))


def test_closing_spools_within_its_deadline_what_a_hanging_redis_did_not_answer(spooling, tmp_path, spool_folder):
    with RedisServer.start(tmp_path / "redis") as server:
        producer = spooling(server.url)
        producer.emit(system_event(message="before"))
        assert producer.flush(5)
        server.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(1000):
                producer.emit(system_event(message=str(number)))
            began = time.monotonic()
            assert producer.close(1.0)
            assert time.monotonic() - began < 1.5
        finally:
            server.process.send_signal(signal.SIGCONT)
        spooling(server.url).start()
        wait_until(lambda: not segments(spool_folder))
        assert set(messages_in(server.url)) == {"before", *map(str, range(1000))}


def test_at_the_cap_drops_are_counted_by_level_and_told_when_redis_is_back(spooling, away, tmp_path, spool_folder):
    producer = spooling(away, spool_max_bytes=200_000, buffer_max_bytes=100_000)
    verdicts: Counter[str] = Counter()
    deadline = time.monotonic() + 10
    while producer.counters.dropped_events < 200 and time.monotonic() < deadline:
        time.sleep(0.005)
        for level in ("DEBUG", "ERROR", "DEBUG"):
            verdicts[f"{level} {producer.emit(system_event(level=level, message='x' * 1000))}"] += 1
    assert spooled_bytes(spool_folder) <= 200_000
    dropped = producer.counters.dropped_by_kind
    assert dropped == {"DEBUG": verdicts["DEBUG False"], "ERROR": verdicts["ERROR False"]}

    with started_at(away, tmp_path):
        wait_until(lambda: not segments(spool_folder) and producer.flush(0.1))
        producer.close()
        events = events_in(away)
    (told,) = [event for event in events if event.component == "log_events"]
    assert len({event.id for event in events}) == verdicts["DEBUG True"] + verdicts["ERROR True"] + 1
    assert told.message.startswith(f"{sum(dropped.values())} log events were dropped (DEBUG {dropped['DEBUG']}, ERROR")
    assert "the spool holds 200000 bytes, as much as it may" in told.message


@pytest.mark.parametrize("trouble", ["not a folder", "RLIMIT_FSIZE"])
def test_a_disk_that_takes_nothing_costs_events_and_one_line_but_not_the_program(away, tmp_path, trouble):
    folder = tmp_path / "spool"
    if trouble == "not a folder":
        folder.write_text("")
    errors = run_checked(
        f"""
import resource, time
if {trouble!r} == "RLIMIT_FSIZE":
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
settings = ProducerSettings(
    redis_url=os.environ["REDIS_URL"], spool_folder={str(folder)!r}, buffer_max_bytes=100_000, close_timeout_seconds=0.5
)
logger.addHandler(LogHandler(producer=(producer := Producer(settings))))
longest, until = 0.0, time.monotonic() + 0.7
while time.monotonic() < until:
    began = time.perf_counter()
    logger.error("x" * 1000)
    longest = max(longest, time.perf_counter() - began)
    time.sleep(0.001)
assert longest < 0.5, longest
counters = producer.counters
print(counters, file=sys.stderr)
assert counters.dropped_by_kind.get("ERROR", 0) == counters.dropped_events
assert counters.dropped_events > 0 or {trouble!r} == "RLIMIT_FSIZE"
""",
        away,
    )
    told = [line for line in errors.splitlines() if line.startswith("log_events:") and "given up" not in line]
    assert len(told) == 1


def test_on_a_full_disk_what_was_kept_before_arrives_and_drops_are_counted(
    spooling, away, tmp_path, spool_folder, monkeypatch
):
    real, free_bytes = os.pwrite, 300_000

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        nonlocal free_bytes
        if free_bytes <= 0:
            raise OSError(28, "No space left on device")
        written = real(descriptor, content[: free_bytes + 1], offset)
        free_bytes -= written
        return written

    producer = spooling(away, buffer_max_bytes=100_000)
    taken = 0
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", pwrite)
        deadline = time.monotonic() + 10
        while producer.counters.dropped_events < 100 and time.monotonic() < deadline:
            taken += producer.emit(system_event(message=f"{taken} " + "x" * 1000))
            time.sleep(0.0005)
        assert producer.counters.spooled_events > 100

    with started_at(away, tmp_path):
        wait_until(lambda: not segments(spool_folder) and producer.flush(0.1))
        numbers = {event.message.split()[0] for event in events_in(away) if event.component == "c"}
        (told,) = [event for event in events_in(away) if event.component == "log_events"]
    assert numbers == {str(number) for number in range(taken)}
    assert "No space left on device" in told.message


def test_a_forked_child_spools_into_files_of_its_own_and_holds_none_of_its_parents(
    away, tmp_path, spool_folder, spooling
):
    run_checked(
        f"""
import signal, time
settings = ProducerSettings(redis_url=os.environ["REDIS_URL"], spool_folder={str(spool_folder)!r})
logger.addHandler(LogHandler(producer=(producer := Producer(settings))))
logger.info("parent")
assert producer.flush(5)
pid = os.fork()
if pid == 0:
    logger.info("child")
    assert producer.flush(5)
    os.kill(os.getpid(), signal.SIGKILL)
assert os.waitpid(pid, 0)[1] == signal.SIGKILL
logger.info("parent again")
assert producer.flush(5)
""",
        away,
    )
    writers = [path.name.split("-")[1] for path in segments(spool_folder)]
    assert len(set(writers)) == 2
    with started_at(away, tmp_path):
        spooling(away).start()
        wait_until(lambda: not segments(spool_folder))
        assert messages_in(away) == Counter(["parent", "child", "parent again"])


def test_a_damaged_segment_is_told_and_does_not_stop_the_others(spooling, away, tmp_path, spool_folder):
    producer = spooling(away)
    producer.emit(system_event(message="kept"))
    assert producer.flush(5)
    (spool_folder / f"0{SUFFIX}").write_bytes(b"garbage" * 100)
    with started_at(away, tmp_path):
        wait_until(lambda: len(events_in(away)) == 2)
        by_component = {event.component: event.message for event in events_in(away)}

    assert by_component["c"] == "kept"
    assert "bytes of the log spool were damaged" in by_component["log_events"]


def test_a_child_that_outlives_its_killed_parent_does_not_keep_the_parents_events(
    spooling, away, tmp_path, spool_folder
):
    program = (
        PROGRAM
        + """
import signal, time
producer = Producer(ProducerSettings(redis_url=os.environ["REDIS_URL"], spool_folder=sys.argv[1]))
logger.addHandler(LogHandler(producer=producer))
logger.info("parent")
assert producer.flush(5)
pid = os.fork()
if pid == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, spool_folder],
        env={"PATH": os.environ["PATH"], "REDIS_URL": away},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        child = int(parent.stdout.readline())
    try:
        with started_at(away, tmp_path):
            spooling(away).start()
            wait_until(lambda: not segments(spool_folder))
            assert messages_in(away) == Counter(["parent"])
    finally:
        os.kill(child, signal.SIGKILL)
