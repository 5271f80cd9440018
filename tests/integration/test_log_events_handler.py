"""From a call of a logger to the event in the stream, field by field."""

import io
import json
import logging
import logging.handlers
import queue
import socket
import sys
import time

import pytest

from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import created_at_of, uuid7
from tests.fixtures.log_events import events_in, sent

NAME = "tests.handler"


@pytest.fixture
def logger(producer: Producer) -> logging.Logger:
    """A logger whose only handler sends to the queue."""
    logger = logging.Logger(NAME, logging.DEBUG)  # noqa: LOG001 - pytest adds handlers to those that it finds
    logger.addHandler(LogHandler(producer=producer))
    return logger


def only(producer: Producer) -> SystemLogEvent:
    (event,) = sent(producer)
    return event


def record(message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelno": logging.INFO})


def extra_of(producer: Producer) -> dict:
    return json.loads(only(producer).extra_data)


def test_a_plain_record_fills_the_plain_columns(logger, producer):
    before = time.time()
    logger.info("user %s paid %d", "ann", 3)

    event = only(producer)
    assert (event.level, event.component, event.message) == ("INFO", NAME, "user ann paid 3")
    assert (event.service, event.host) == ("tests", socket.gethostname())
    assert before <= event.created_at.timestamp() <= time.time()
    assert event.id.version == 7
    assert abs((created_at_of(event.id) - event.created_at).total_seconds()) < 0.002
    assert (event.error_type, event.error_message, event.stack_trace, event.extra_data) == (None, None, None, None)
    assert (event.user_id, event.company_id, event.request_id, event.trace_id, event.span_id) == (None,) * 5


@pytest.mark.parametrize(
    ("number", "name", "level"),
    [
        (logging.DEBUG, None, "DEBUG"),
        (logging.CRITICAL, None, "CRITICAL"),
        (25, "NOTICE", "INFO"),
        (5, "TRACE", "DEBUG"),
        (39, "ALERT", "WARNING"),
        (100, "PANIC", "CRITICAL"),
    ],
)
def test_every_level_becomes_a_standard_one(logger, producer, number, name, level):
    if name:
        logging.addLevelName(number, name)
    logger.setLevel(1)
    logger.log(number, "m")

    assert only(producer).level == level


def test_an_exception_fills_the_error_columns(logger, producer):
    try:
        json.loads("{")
    except ValueError:
        logger.exception("cannot read")

    event = only(producer)
    assert (event.level, event.message, event.error_type) == ("ERROR", "cannot read", "json.decoder.JSONDecodeError")
    assert event.error_message.startswith("Expecting property name")
    assert event.stack_trace.startswith("Traceback (most recent call last):\n")
    assert 'json.loads("{")' in event.stack_trace
    assert event.stack_trace.rstrip().endswith(event.error_message)


def test_a_cause_is_part_of_the_stack_trace(logger, producer):
    outer = RuntimeError("outer")
    outer.__cause__ = KeyError("k")
    logger.error("failed", exc_info=outer)

    event = only(producer)
    assert (event.error_type, event.error_message) == ("RuntimeError", "outer")
    assert "KeyError: 'k'" in event.stack_trace


def test_exc_info_without_an_exception_is_no_error(logger, producer):
    logger.log(logging.ERROR, "nothing happened", exc_info=sys.exc_info())

    assert only(producer).error_type is None
    assert only(producer).stack_trace is None


def test_stack_info_is_a_stack_trace(logger, producer):
    logger.warning("here", stack_info=True)

    event = only(producer)
    assert event.stack_trace.startswith("Stack (most recent call last):")
    assert event.error_type is None


def test_an_exception_whose_own_text_fails_is_recorded_all_the_same(logger, producer):
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    logger.error("failed", exc_info=MuteError("x"))

    event = only(producer)
    assert event.error_type.endswith("MuteError")
    assert "MuteError('x')" in event.error_message


def test_known_extras_go_into_columns_and_the_others_into_extra_data(logger, producer):
    user, company = uuid7(), uuid7()
    logger.info(
        "m",
        extra={
            "user_id": user,
            "company_id": str(company),
            "request_id": "r-1",
            "trace_id": "a" * 32,
            "span_id": "b" * 16,
            "event": "job_created",
            "count": 3,
        },
    )

    event = only(producer)
    assert (event.user_id, event.company_id, event.request_id) == (user, company, "r-1")
    assert (event.trace_id, event.span_id) == ("a" * 32, "b" * 16)
    assert json.loads(event.extra_data) == {"event": "job_created", "count": 3}


def test_an_extra_that_does_not_fit_its_column_stays_in_extra_data(logger, producer):
    logger.info("m", extra={"user_id": "ann", "request_id": "x" * 101, "trace_id": ["a"], "company_id": None})

    event = only(producer)
    assert (event.user_id, event.request_id, event.trace_id, event.company_id) == (None,) * 4
    assert json.loads(event.extra_data) == {"user_id": "ann", "request_id": "x" * 101, "trace_id": ["a"]}


def test_a_mutable_extra_is_taken_as_it_was_at_the_call(logger, producer):
    items = [1]
    logger.info("m", extra={"items": items})
    items.append(2)

    assert extra_of(producer) == {"items": [1]}


def test_what_a_formatter_of_another_handler_leaves_on_the_record_is_no_extra(logger, producer):
    other = logging.StreamHandler(io.StringIO())
    other.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.handlers.insert(0, other)
    logger.info("m")

    assert only(producer).extra_data is None


def test_filters_of_the_handler_are_obeyed(logger, producer):
    logger.handlers[0].addFilter(lambda record: "secret" not in record.getMessage())
    logger.info("secret")
    logger.info("open")

    assert only(producer).message == "open"


def test_service_and_host_may_be_given(producer):
    handler = LogHandler(service="shop", host="web-1", producer=producer)
    handler.handle(record("m"))

    event = only(producer)
    assert (event.service, event.host) == ("shop", "web-1")


def test_a_flush_sends_soon_and_does_not_wait(new_producer):
    producer = new_producer(flush_interval_seconds=60)
    handler = LogHandler(producer=producer)
    handler.handle(record("m"))
    handler.flush()

    deadline = time.monotonic() + 5
    while not events_in(producer.settings.redis_url):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_behind_a_queue_handler_nothing_is_lost(logger, producer):
    records: queue.Queue = queue.Queue()
    listener = logging.handlers.QueueListener(records, LogHandler(producer=producer))
    logger.handlers[:] = [logging.handlers.QueueHandler(records)]
    listener.start()
    for number in range(1000):
        logger.info("event %d", number, extra={"number": number})
    logger.error("failed", exc_info=ValueError("wrong"))
    listener.stop()

    # Two threads send frames, so that a later one may arrive first.
    events = sent(producer)
    failure = next(event for event in events if event.level == "ERROR")
    numbers = sorted(json.loads(event.extra_data)["number"] for event in events if event is not failure)
    assert numbers == list(range(1000))
    assert "ValueError: wrong" in failure.message


def test_ten_thousand_lines_arrive_exactly(logger, producer):
    for number in range(10_000):
        logger.info("line %d", number)

    assert sorted(int(event.message.split()[1]) for event in sent(producer)) == list(range(10_000))
