"""Frames carry events unchanged, and show every damage."""

import gc
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_events.llm_log import LlmLogEvent
from log_events.safe_text import clean_event, encode_cleaned
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import created_at_of, uuid7
from log_events.wire import (
    FRAME_OVERHEAD_BYTES,
    EventError,
    FrameError,
    LogEvent,
    decode_frame,
    encode_event,
    encode_frame,
    join_frame,
    split_frame,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
COUNT = st.none() | st.integers(-(2**31), 2**31 - 1)
IDENTITY = {
    "id": st.uuids(),
    "created_at": st.datetimes(timezones=st.just(UTC)),
    "extra_data": st.none() | st.just('{"a":1}'),
}
SYSTEM_LOGS = st.builds(
    SystemLogEvent,
    **IDENTITY,
    level=st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
    component=TEXT,
    message=TEXT,
    error_type=st.none() | TEXT,
    error_message=st.none() | TEXT,
    stack_trace=st.none() | TEXT,
    user_id=st.none() | st.uuids(),
    company_id=st.none() | st.uuids(),
    request_id=st.none() | TEXT,
    trace_id=st.none() | TEXT,
    span_id=st.none() | TEXT,
    service=st.none() | TEXT,
    host=st.none() | TEXT,
)
LLM_LOGS = st.builds(
    LlmLogEvent,
    **IDENTITY,
    provider=TEXT,
    model=TEXT,
    operation=st.none() | TEXT,
    prompt=st.none() | TEXT,
    response=st.none() | TEXT,
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    total_tokens=COUNT,
    cost_usd=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    latency_ms=COUNT,
    status=TEXT,
    user_id=st.none() | st.uuids(),
    time_to_first_token_ms=COUNT,
    streamed=st.none() | st.booleans(),
)
EVENT = SystemLogEvent(
    id=UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    level="INFO",
    component="app.component",
    message="a message",
)


def decode_event(encoded: bytes) -> LogEvent:
    (event,) = decode_frame(join_frame([encoded]))
    return event


def test_the_cycle_collector_need_not_look_through_events() -> None:
    event = decode_event(encode_event(SystemLogEvent(uuid7(), datetime.now(UTC), "INFO", "c", "m")))

    assert not gc.is_tracked(event)


@given(st.lists(SYSTEM_LOGS | LLM_LOGS, max_size=8))
@settings(deadline=None)
def test_a_frame_gives_back_the_events_it_was_made_of(events):
    frame = encode_frame(events)

    assert decode_frame(frame) == events
    assert [decode_event(encoded) for encoded in split_frame(frame)] == events


def test_a_frame_of_encoded_events_is_the_frame_of_the_events_and_adds_the_stated_overhead():
    encoded = [encode_event(EVENT)] * 3

    assert join_frame(encoded) == encode_frame([EVENT] * 3)
    assert len(join_frame(encoded)) == sum(map(len, encoded)) + FRAME_OVERHEAD_BYTES


def test_every_change_of_a_single_byte_is_noticed():
    frame = encode_frame([EVENT, EVENT])

    for position in range(len(frame)):
        for flipped in (0x01, 0x80, 0xFF):
            damaged = bytearray(frame)
            damaged[position] ^= flipped
            with pytest.raises(FrameError):
                decode_frame(bytes(damaged))


def test_every_truncation_is_noticed():
    frame = encode_frame([EVENT])

    for length in range(len(frame)):
        with pytest.raises(FrameError):
            split_frame(frame[:length])


def test_an_event_that_breaks_the_contract_leaves_its_neighbours_readable():
    wrong = msgspec.structs.replace(EVENT, level="LOUD")
    frame = encode_frame([EVENT, wrong, EVENT])

    with pytest.raises(EventError, match="LOUD"):
        decode_frame(frame)
    first, second, third = split_frame(frame)
    assert decode_event(first) == decode_event(third) == EVENT
    with pytest.raises(EventError):
        decode_event(second)


def test_microseconds_and_decimal_digits_survive():
    call = LlmLogEvent(
        uuid7(), EVENT.created_at, "p", "m", None, None, None, 1, 2, 3, Decimal("0.0000010"), 5, "success"
    )

    (received,) = decode_frame(encode_frame([call]))
    assert received.created_at.microsecond == 678901
    assert str(received.cost_usd) == "0.0000010"


@given(st.text(max_size=20))
@settings(deadline=None)
def test_any_text_can_be_carried_once_it_is_cleaned(text):
    event = clean_event(msgspec.structs.replace(EVENT, message=text, component=f"x{text}"))

    received = decode_event(encode_event(event))
    assert received == event
    assert "\0" not in received.message
    assert len(received.message) == len(text)


def test_a_text_that_the_encoder_refuses_is_cleaned_in_passing():
    class Text(str):
        __slots__ = ()

    event = msgspec.structs.replace(EVENT, message="lone \ud800 surrogate", component=Text("sub"))

    received = decode_event(encode_cleaned(event))
    assert received.message == "lone \N{REPLACEMENT CHARACTER} surrogate"
    assert received.component == "sub"


def test_ids_sort_by_time_and_hold_it_to_the_millisecond():
    earlier, later = uuid7(1_700_000_000_123), uuid7(1_700_000_000_124)

    assert earlier < later
    assert earlier.version == 7
    assert created_at_of(earlier) == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    assert created_at_of(UUID(int=0)) is None


def test_a_hundred_thousand_ids_of_one_millisecond_are_all_different():
    assert len({uuid7(1) for _ in range(100_000)}) == 100_000
