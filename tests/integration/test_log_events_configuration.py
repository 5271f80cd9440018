"""Producers and handlers that are made by the environment and by dictConfig, each test in a program of its own."""

from collections import Counter

from tests.fixtures.log_events import PROGRAM, events_in, messages_in, run_checked, run_program


def test_a_wrong_environment_costs_the_events_but_not_the_program():
    finished = run_program(
        PROGRAM + "logger.addHandler(LogHandler())\nlogger.info('a')\nlogger.info('b')\nprint('done')"
    )

    assert (finished.returncode, finished.stdout) == (0, "done\n")
    (line,) = finished.stderr.splitlines()
    assert "REDIS_URL is not set" in line
    assert "log events are lost" in line


def test_everyone_who_asks_gets_the_same_default_producer(redis_url):
    run_checked(
        """
assert default_producer() is default_producer()
assert default_producer().settings.service_name == "shop"
""",
        redis_url,
        LOG_SERVICE_NAME="shop",
    )


DICT_CONFIG = """
from logging.config import dictConfig
CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"queue": {"class": "log_events.log_handler.LogHandler", "level": "INFO", "service": "configured"}},
    "root": {"level": "DEBUG", "handlers": ["queue"]},
}
"""


def test_a_handler_is_made_by_dict_config(redis_url):
    run_checked(
        DICT_CONFIG
        + """
dictConfig(CONFIG)
logger.debug("too quiet for the handler")
logger.warning("configured")
""",
        redis_url,
        LOG_SERVICE_NAME="environment",
    )

    (event,) = events_in(redis_url)
    assert (event.message, event.level, event.component, event.service) == (
        "configured",
        "WARNING",
        "program",
        "configured",
    )


def test_configuring_anew_in_the_midst_of_sending_loses_nothing(redis_url):
    run_checked(
        DICT_CONFIG
        + """
for round in range(5):
    dictConfig(CONFIG)
    for number in range(2000):
        logger.info("round %d event %d", round, number)
""",
        redis_url,
    )

    assert messages_in(redis_url) == Counter(f"round {r} event {n}" for r in range(5) for n in range(2000))


def test_configuring_anew_does_not_wait_for_a_redis_that_is_away():
    run_checked(
        DICT_CONFIG
        + """
import time
dictConfig(CONFIG)
logger.info("kept")
started = time.monotonic()
dictConfig(CONFIG)
assert time.monotonic() - started < 1.0
assert default_producer().counters.buffered_events == 1
default_producer().close(0)
""",
        "redis://127.0.0.1:1",
    )
