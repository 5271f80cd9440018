"""What a producer does at the end of a process and in its children: each test runs programs, warnings being errors."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.fixtures.log_events import messages_in, run_checked


@pytest.mark.parametrize(
    ("ending", "exit_code"), [("", 0), ("sys.exit(3)", 3), ("raise SystemExit", 0), ("raise ValueError", 1)]
)
def test_what_is_buffered_at_the_end_of_a_program_arrives(redis_url, ending, exit_code):
    run_checked(
        f"""
logger.addHandler(LogHandler(producer=waits_for_company()))
for number in range(1000):
    logger.info("event %d", number)
{ending}
""",
        redis_url,
        exit_code,
    )

    assert messages_in(redis_url) == Counter(f"event {number}" for number in range(1000))


def test_a_program_ends_in_time_though_redis_is_away_and_says_what_was_lost():
    errors = run_checked(
        """
settings = ProducerSettings(redis_url="redis://127.0.0.1:1", close_timeout_seconds=0.3)
logger.addHandler(LogHandler(producer=Producer(settings)))
logger.info("lost")
""",
        "redis://127.0.0.1:1",
    )

    assert "1 events were given up after 0.3 s" in errors


def test_a_child_begins_with_an_empty_buffer_and_the_parents_events_arrive_once(redis_url):
    run_checked(
        """
logger.addHandler(LogHandler(producer=(producer := waits_for_company())))
for number in range(1000):
    logger.info("parent %d", number)
pid = os.fork()
if pid == 0:
    assert producer.counters.buffered_events == 0
    for number in range(1000):
        logger.info("child %d", number)
    os._exit(0 if producer.close() else 9)
assert os.waitpid(pid, 0)[1] == 0
logger.info("parent again")
""",
        redis_url,
    )

    expected = [f"{who} {number}" for who in ("parent", "child") for number in range(1000)]
    assert messages_in(redis_url) == Counter([*expected, "parent again"])


def test_forks_in_the_midst_of_logging_threads_lose_and_double_nothing(redis_url):
    run_checked(
        """
import warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of forking with threads, which is what this is about
logger.addHandler(LogHandler(producer=(producer := waits_for_company(0.001))))

def log(thread):
    for number in range(2000):
        logger.info("thread %d event %d", thread, number)

threads = [threading.Thread(target=log, args=(thread,)) for thread in range(2)]
for thread in threads:
    thread.start()
children = []
for child in range(10):
    pid = os.fork()
    if pid == 0:
        logger.info("child %d", child)
        os._exit(0 if producer.close() else 9)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
for thread in threads:
    thread.join()
""",
        redis_url,
    )

    expected = [f"thread {thread} event {number}" for thread in range(2) for number in range(2000)]
    assert messages_in(redis_url) == Counter([*expected, *(f"child {child}" for child in range(10))])


CHILDREN = """
import logging, multiprocessing, sys, warnings
from log_events.log_handler import LogHandler

logger = logging.getLogger("program")
logger.setLevel(logging.DEBUG)
logger.addHandler(LogHandler())

def work(number):
    logger.info("child %d", number)

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Python 3.12 warns of forking with threads
    logger.info("parent")
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert all(child.exitcode == 0 for child in children)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_send_their_events_before_they_end(redis_url, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(CHILDREN)
    finished = subprocess.run(
        [sys.executable, program, method],
        env={"PATH": os.environ["PATH"], "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    assert messages_in(redis_url) == Counter(["parent", "child 0", "child 1", "child 2"])


def test_sending_threads_import_nothing_which_a_fork_could_inherit_half_done(redis_url):
    run_checked(
        """
logger.addHandler(LogHandler(producer=(producer := waits_for_company(0.01))))
before = set(sys.modules)
logger.info("first")
assert producer.flush(5)
assert set(sys.modules) == before, set(sys.modules) - before
""",
        redis_url.replace("127.0.0.1", "localhost"),
    )


def test_events_arrive_though_no_thread_can_be_started(redis_url):
    run_checked(
        """
logger.addHandler(LogHandler(producer=(producer := waits_for_company(0.01))))
start = threading.Thread.start
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
for number in range(10):
    logger.info("event %d", number)
assert producer.counters.buffered_events == 10
assert producer.close()
""",
        redis_url,
    )

    assert sum(messages_in(redis_url).values()) == 10


def test_threads_that_could_not_be_started_are_started_later(redis_url):
    run_checked(
        """
logger.addHandler(LogHandler(producer=(producer := waits_for_company(0.01))))
start = threading.Thread.start
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
logger.info("first")
threading.Thread.start = start
logger.info("second")
assert producer.flush(5)
assert producer.counters.accepted_events == 2
""",
        redis_url,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no signals of this kind")
def test_signal_handlers_that_log_in_the_midst_of_logging_hang_nothing(redis_url):
    run_checked(
        """
import signal
logger.addHandler(LogHandler(producer=(producer := waits_for_company(0.01))))
heard = 0
def hear(*_):
    global heard
    heard += 1
    logger.info("signal")
signal.signal(signal.SIGALRM, hear)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
logged = 0
while heard < 200:
    logger.info("loop", extra={"logged": logged})
    logged += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert producer.flush(10)
assert producer.counters.accepted_events == logged + heard, (producer.counters, logged, heard)
""",
        redis_url,
    )
