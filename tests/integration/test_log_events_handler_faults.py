"""What becomes of records that cannot be rendered, or not as they are: an event in any case."""

import json
import logging
from datetime import UTC, datetime

import pytest

from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.system_log import SystemLogEvent
from tests.fixtures.log_events import NewProducer, sent


@pytest.fixture
def logger(producer: Producer) -> logging.Logger:
    """A logger whose only handler sends to the queue."""
    logger = logging.Logger("tests.faults", logging.DEBUG)  # noqa: LOG001 - pytest adds handlers to those that it finds
    logger.addHandler(LogHandler(producer=producer))
    return logger


def only(producer: Producer) -> SystemLogEvent:
    (event,) = sent(producer)
    return event


@pytest.mark.parametrize(
    ("message", "arguments", "part"),
    [
        ("%d apples", ("three",), "'%d apples' cannot be filled with ('three',): TypeError"),
        ("%s and %s", ("one",), "not enough arguments"),
        ("no place", ("one",), "not all arguments converted"),
        ("%(name)s", ({"other": 1},), "KeyError"),
        ("%y", (1,), "ValueError"),
    ],
)
def test_arguments_that_do_not_fit_become_a_message_that_says_so(logger, producer, message, arguments, part):
    logger.info(message, *arguments, extra={"kept": True})

    event = only(producer)
    assert part in event.message
    assert (event.level, json.loads(event.extra_data)) == ("INFO", {"kept": True})


class Hostile:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_hostile_objects_cost_their_text_and_not_the_event(logger, producer):
    logger.info("%s", Hostile(), extra={"hostile": Hostile()})
    logger.info(Hostile())

    first, second = sent(producer)
    assert "<Hostile whose repr raised RuntimeError>" in first.extra_data
    assert "RuntimeError: no text" in first.message
    assert "<Hostile whose repr raised RuntimeError>" in second.message


def test_a_message_need_not_be_a_text(logger, producer):
    logger.info({"a": 1})

    assert only(producer).message == "{'a': 1}"


def test_nul_and_lone_surrogates_are_replaced_in_every_field(logger, producer):
    logger.name = "app\0"
    error = ValueError("bad \udcff")
    logger.error("m\0", exc_info=error, extra={"k": "\ud800", "request_id": "r\0"})

    event = only(producer)
    assert (event.component, event.message, event.error_message) == ("app\ufffd", "m\ufffd", "bad \ufffd")
    assert (event.request_id, json.loads(event.extra_data)) == ("r\ufffd", {"k": "\ufffd"})
    assert "\0" not in event.stack_trace


def test_a_record_made_by_hand_with_the_barest_fields_is_sent(producer):
    LogHandler(producer=producer).handle(logging.makeLogRecord({"msg": "bare", "levelno": logging.INFO}))

    event = only(producer)
    assert (event.component, event.level, event.message) == ("root", "INFO", "bare")


@pytest.mark.parametrize("broken", [{"created": float("nan")}, {"created": "now"}, {"levelno": "high"}, {"name": 7}])
def test_a_record_that_breaks_the_rules_becomes_an_event_that_says_so(producer, broken):
    handler = LogHandler(producer=producer)
    handler.handle(logging.makeLogRecord({"msg": "odd", "levelno": 30, **broken}))

    event = only(producer)
    assert "odd" in event.message
    assert event.created_at.year == datetime.now(UTC).year


def test_a_thing_that_logs_itself_when_shown_ends(logger, producer):
    class Chatty:
        def __str__(self) -> str:
            logger.info("%s", self)
            return "chatty"

        __repr__ = __str__

    logger.info("%s", Chatty(), extra={"chatty": Chatty()})

    assert "chatty" in {event.message for event in sent(producer)}


def test_a_logger_whose_name_no_column_holds_is_counted_by_level_when_redis_stays_away(
    new_producer: NewProducer, away: str
):
    producer = new_producer(away)
    logger = logging.Logger("n" * 101)  # noqa: LOG001 - pytest adds handlers to those that it finds
    logger.addHandler(LogHandler(producer=producer))
    logger.error("kept in vain")

    assert not producer.close(0.2)
    assert producer.counters.dropped_by_kind == {"ERROR": 1}
