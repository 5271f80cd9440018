"""Secrets on the way of an event: none leaves the process, by a logger or by an LLM call."""

import logging

import pytest

from log_events.llm_call import log_llm_call
from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.redaction import Redactor
from tests.fixtures.log_events import sent
from tests.fixtures.logs import system_event

SECRET = "Tr0ub4dor-x9"


@pytest.fixture
def logger() -> logging.Logger:
    return logging.Logger("tests.secrets", logging.DEBUG)  # noqa: LOG001 - pytest adds handlers to those that it finds


def test_no_column_of_a_log_line_carries_a_secret_away(logger, producer):
    logger.addHandler(LogHandler(producer=producer))
    try:
        raise ValueError(f"no login with password={SECRET}")  # noqa: TRY301 - it is about the handler
    except ValueError:
        logger.exception("login of %s failed: token=%s", "u", SECRET, extra={"headers": {"Cookie": f"a={SECRET}"}})

    (event,) = sent(producer)
    assert SECRET not in repr(event)
    assert event.message == "login of u failed: token=[redacted]"
    assert event.error_message == "no login with password=[redacted]"
    assert "ValueError: no login with password=[redacted]" in event.stack_trace
    assert event.extra_data == '{"headers":{"Cookie":"[redacted]"}}'


def test_a_line_that_cannot_be_rendered_carries_none_away_either(logger, producer):
    class Stubborn(dict):
        def items(self):
            raise OSError

    logger.addHandler(LogHandler(producer=producer))
    logger.info(f"password={SECRET} %d", "x", extra={"bad": Stubborn(a=1)})

    assert SECRET not in repr(sent(producer))


def test_prompt_and_response_carry_none_away_unless_told_otherwise(producer, new_producer):
    talkative = new_producer(redact_prompts=False)
    for through in (producer, talkative):
        log_llm_call("p", "m", prompt=f"api_key={SECRET}", response=f"redis://:{SECRET}@h/0", producer=through)

    redacted, _ = sent(producer)[0], talkative.flush(5)
    assert (redacted.prompt, redacted.response) == ("api_key=[redacted]", "redis://:[redacted]@h/0")
    assert f"api_key={SECRET}" in {event.prompt for event in sent(talkative)}


def test_a_handler_and_a_producer_may_be_given_redactors_of_their_own(logger, redis_url, producer):
    own = Redactor([r"EMP-\d+"])
    logger.addHandler(LogHandler(producer=producer, redactor=own))
    logger.info("EMP-77 came")
    other = Producer(producer.settings, own)
    other.emit(system_event(message="EMP-88 left"))
    assert other.close()

    assert {event.message for event in sent(producer)} == {"[redacted] came", "[redacted] left"}


def test_what_is_spooled_is_redacted_too(new_producer, tmp_path):
    producer = new_producer("redis://127.0.0.1:1/0", spool_folder=str(tmp_path / "spool"))
    producer.emit(system_event(message=f"password={SECRET}"))
    assert producer.flush(5)

    assert SECRET.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
