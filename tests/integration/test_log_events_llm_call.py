"""Calls of language models: as a statement, around a block, around a function."""

import asyncio
import gc
import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from decimal import Decimal

import pytest

from log_events.llm_call import LlmCall, log_llm_call
from log_events.llm_log import LlmLogEvent
from log_events.producer import Producer
from log_events.uuid7 import uuid7
from tests.fixtures.log_events import run_program, sent


def only(producer: Producer) -> LlmLogEvent:
    (event,) = sent(producer)
    return event


def test_a_call_has_the_fields_of_its_event_that_the_producer_does_not_fill():
    named = {field.name for field in fields(LlmCall) if field.init} - {"error", "on_result", "producer"}

    assert named == set(LlmLogEvent.__struct_fields__) - {"id", "created_at"}


def test_a_call_that_is_over_is_logged_at_once(producer):
    user = uuid7()
    call = log_llm_call(
        "openai",
        "gpt-5",
        operation="summarise",
        prompt="long text",
        response="short text",
        prompt_tokens=100,
        completion_tokens=20,
        cost_usd=Decimal("0.00123"),
        latency_ms=840,
        user_id=str(user),
        company_id="acme",
        extra_data={"job": 7},
        session_id="s",
        finish_reason="stop",
        streamed=False,
        producer=producer,
    )

    event = only(producer)
    assert (event.provider, event.model, event.operation) == ("openai", "gpt-5", "summarise")
    assert (event.prompt, event.response) == ("long text", "short text")
    assert (event.prompt_tokens, event.completion_tokens, event.total_tokens) == (100, 20, 120)
    assert (event.cost_usd, event.latency_ms, event.status) == (Decimal("0.00123"), 840, "success")
    assert (event.user_id, event.company_id) == (user, None)
    assert json.loads(event.extra_data) == {"job": 7, "company_id": "acme"}
    assert (event.session_id, event.finish_reason, event.streamed) == ("s", "stop", False)
    assert (event.service, event.host) == ("tests", socket.gethostname())
    assert isinstance(call, LlmCall)


def test_a_plain_statement_without_any_outcome_is_logged_too(producer):
    log_llm_call("openai", "gpt-5", prompt="p", producer=producer)
    gc.collect()

    event = only(producer)
    assert (event.prompt, event.status, event.latency_ms) == ("p", "success", None)


def test_a_block_is_timed_and_may_tell_what_came_of_it(producer):
    with log_llm_call("openai", "gpt-5", prompt="p", streamed=True, producer=producer) as call:
        time.sleep(0.03)
        call.first_token()
        time.sleep(0.03)
        call.first_token()
        call.response, call.prompt_tokens, call.completion_tokens = "r", 3, 4
        call.finish_reason = "stop"

    event = only(producer)
    assert 30 <= event.time_to_first_token_ms < event.latency_ms - 25
    assert (event.response, event.total_tokens, event.finish_reason) == ("r", 7, "stop")
    assert (event.status, event.error_type) == ("success", None)


def test_an_error_in_a_block_is_recorded_and_raised_again(producer):
    error = TimeoutError("no answer")
    with pytest.raises(TimeoutError) as caught, log_llm_call("openai", "gpt-5", producer=producer):
        raise error

    event = only(producer)
    assert caught.value is error
    assert (event.status, event.error_type, event.error_message) == ("error", "TimeoutError", "no answer")
    assert event.latency_ms is not None


def test_a_cancelled_or_interrupted_call_is_recorded_too(producer):
    with pytest.raises(asyncio.CancelledError), log_llm_call("openai", "gpt-5", producer=producer):
        raise asyncio.CancelledError

    assert only(producer).error_type == "asyncio.exceptions.CancelledError"


def test_what_the_caller_says_wins(producer):
    with suppress(ValueError), log_llm_call("openai", "gpt-5", producer=producer) as call:
        call.latency_ms, call.total_tokens, call.status = 5, 99, "refused"
        call.prompt_tokens = call.completion_tokens = 1
        call.error_type = "Refusal"
        raise ValueError("x")

    event = only(producer)
    assert (event.latency_ms, event.total_tokens, event.status) == (5, 99, "refused")
    assert (event.error_type, event.error_message) == ("Refusal", "x")


def test_an_error_may_be_given_to_a_statement(producer):
    log_llm_call("openai", "gpt-5", error=KeyError("k"), producer=producer)

    event = only(producer)
    assert (event.status, event.error_type, event.error_message) == ("error", "KeyError", "'k'")


def test_each_call_of_a_function_is_timed_and_its_text_is_the_response(producer):
    @log_llm_call("openai", "gpt-5", operation="echo", producer=producer)
    def echo(text: str, *, times: int = 1) -> str:
        """Say it again."""
        return text * times

    assert echo("a", times=2) == "aa"
    assert echo("b") == "b"
    assert (echo.__name__, echo.__doc__) == ("echo", "Say it again.")
    first, second = sent(producer)
    assert (first.response, second.response) == ("aa", "b")
    assert first.id != second.id
    assert first.latency_ms is not None


def test_an_error_of_a_function_is_recorded_and_raised_again(producer):
    @log_llm_call("openai", "gpt-5", producer=producer)
    def fail() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        fail()
    assert only(producer).error_type == "ConnectionError"


def test_a_coroutine_is_timed_until_it_has_returned(producer):
    @log_llm_call("openai", "gpt-5", producer=producer)
    async def answer() -> str:
        await asyncio.sleep(0.03)
        return "late"

    assert asyncio.run(answer()) == "late"
    event = only(producer)
    assert event.latency_ms >= 30
    assert event.response == "late"


def test_what_a_function_returns_may_be_read_into_the_call(producer):
    def read(call: LlmCall, result: dict) -> None:
        call.response, call.completion_tokens = result["text"], result["tokens"]

    @log_llm_call("openai", "gpt-5", on_result=read, producer=producer)
    def ask() -> dict:
        return {"text": "t", "tokens": 9}

    assert ask() == {"text": "t", "tokens": 9}
    event = only(producer)
    assert (event.response, event.completion_tokens) == ("t", 9)


def test_a_reader_that_fails_does_not_fail_the_call(producer):
    def read(call: LlmCall, result: dict) -> None:
        call.response = result["missing"]

    @log_llm_call("openai", "gpt-5", on_result=read, extra_data="odd", producer=producer)
    def ask() -> dict:
        return {}

    assert ask() == {}
    event = only(producer)
    assert json.loads(event.extra_data) == {"extra_data": "odd", "on_result_error": "KeyError: 'missing'"}
    assert event.status == "success"


def test_a_generator_function_cannot_be_timed_and_says_what_to_do(producer):
    with pytest.raises(TypeError, match="inside"):

        @log_llm_call("openai", "gpt-5", producer=producer)
        def stream():
            yield 1

    assert sent(producer) == []


def test_an_outcome_given_too_early_is_a_mistake_that_is_told(producer):
    with pytest.raises(RuntimeError, match="logged already"), log_llm_call("o", "m", response="r", producer=producer):
        pass

    assert only(producer).response == "r"


def test_values_of_the_wrong_kind_are_kept_beside_and_cost_nothing_else(producer):
    log_llm_call(
        "openai",
        "gpt-5",
        response={"text": "r"},
        prompt_tokens="many",
        completion_tokens=12.0,
        latency_ms=12.6,
        cost_usd=0.1,
        reasoning_tokens=2**40,
        cached_prompt_tokens=True,
        streamed="yes",
        extra_data=["not", "a", "mapping"],
        producer=producer,
    )

    event = only(producer)
    assert (event.response, event.prompt_tokens, event.completion_tokens) == ("{'text': 'r'}", None, 12)
    assert (event.latency_ms, event.cost_usd, event.streamed) == (13, Decimal("0.1"), None)
    assert json.loads(event.extra_data) == {
        "prompt_tokens": "many",
        "reasoning_tokens": 2**40,
        "cached_prompt_tokens": True,
        "streamed": "yes",
        "extra_data": ["not", "a", "mapping"],
    }


@pytest.mark.parametrize(("given", "kept"), [("1.5", Decimal("1.5")), (2, Decimal(2)), ("dear", None), ("NaN", None)])
def test_a_cost_is_taken_as_given_where_it_is_a_number(producer, given, kept):
    log_llm_call("openai", "gpt-5", cost_usd=given, producer=producer)

    event = only(producer)
    assert event.cost_usd == kept
    assert (event.extra_data is None) == (kept is not None)


def test_a_missing_provider_does_not_make_a_dead_letter(producer):
    log_llm_call(None, "", latency_ms=1, producer=producer)

    assert (only(producer).provider, only(producer).model) == ("unknown", "unknown")


def test_hostile_values_are_counted_and_do_not_reach_the_caller(producer):
    class Hostile(Mapping):
        def __iter__(self):
            raise RuntimeError("no")

        __len__ = __getitem__ = __iter__

    log_llm_call("o", "m", latency_ms=1, extra_data=Hostile(), producer=producer)

    assert producer.counters.dropped_by_kind == {"llm_log": 1}


def test_texts_that_cannot_be_stored_are_mended(producer):
    log_llm_call("o", "m", response="nul \0", prompt="\ud800", producer=producer)

    assert (only(producer).response, only(producer).prompt) == ("nul \ufffd", "\ufffd")


def test_without_a_producer_the_environments_is_taken(redis_url):
    finished = run_program(
        """
from log_events.llm_call import log_llm_call
from log_events.producer import default_producer
log_llm_call("o", "m", latency_ms=1)
assert default_producer().flush(5)
assert default_producer().counters.accepted_events == 1
""",
        REDIS_URL=redis_url,
    )

    assert finished.returncode == 0, finished.stderr


def test_a_wrong_environment_does_not_reach_the_caller():
    finished = run_program('from log_events.llm_call import log_llm_call\nlog_llm_call("o", "m", latency_ms=1)')

    assert finished.returncode == 0
    assert "REDIS_URL is not set" in finished.stderr
