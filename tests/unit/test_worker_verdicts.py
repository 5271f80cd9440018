"""Each row of the table of verdicts, played with one event of each door."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import encode_frame, join_frame
from tests.fixtures.entries import ACCEPTED, ACCEPTED_MS, LLM, SYSTEM, decoded, framed, only, pushed, system_event
from worker.entry import Entry
from worker.verdicts import MEANINGS, Reason


def only_pushed(fields: dict) -> SystemLogEvent | LlmLogEvent:
    return only(pushed(json.dumps(fields).encode()))


def reason_of(raw: bytes) -> Reason:
    return only(pushed(raw)).reason


def test_a_pushed_event_without_id_and_time_gets_the_same_ones_at_each_delivery():
    raw = json.dumps(SYSTEM).encode()

    first, again = only(pushed(raw)), only(pushed(raw))

    assert first == again
    assert first.created_at == ACCEPTED


def test_equal_pushed_events_of_one_entry_are_two_events():
    raw = json.dumps(SYSTEM).encode()

    rows, letters = decoded(pushed(raw, raw))

    assert not letters
    assert rows[0].event.id != rows[1].event.id


def test_a_pushed_event_keeps_every_field():
    event_id = uuid7(ACCEPTED_MS)
    fields = LLM | {
        "id": str(event_id),
        "created_at": "2026-09-21T10:00:00.123456+02:00",
        "prompt_tokens": 7,
        "cost_usd": 0.000123,
        "streamed": True,
        "extra_data": {"a": [1, 2.5, None], "b": {"c": "d"}},
    }

    event = only_pushed(fields)

    assert event.id == event_id
    assert event.created_at == datetime(2026, 9, 21, 8, 0, 0, 123456, tzinfo=UTC)
    assert (event.prompt_tokens, event.cost_usd, event.streamed) == (7, Decimal("0.000123"), True)
    assert json.loads(event.extra_data) == fields["extra_data"]


def test_a_cost_is_taken_digit_by_digit():
    raw = b'{"type":"llm_log","provider":"p","model":"m","status":"success","cost_usd":0.12345678901234567890123}'

    assert only(pushed(raw)).cost_usd == Decimal("0.12345678901234567890123")


@pytest.mark.parametrize("cost", ["0", "-0.0", "1e1000", "-9.9e1000", "1e-1000", "0e-1000", "0.000123", "17"])
def test_a_cost_of_any_size_that_a_column_holds_is_kept(cost):
    raw = b'{"type":"llm_log","provider":"p","model":"m","status":"success","cost_usd":%b}' % cost.encode()

    assert only(pushed(raw)).cost_usd == Decimal(cost)


@pytest.mark.parametrize(
    "message", [b'"a\\u0000b"', b'"a\\ud800b"', b'"a\xffb"'], ids=["NUL", "lone surrogate", "invalid UTF-8"]
)
def test_what_a_text_cannot_hold_is_replaced(message):
    raw = b'{"type":"system_log","level":"INFO","component":"c","message":%b}' % message

    assert only(pushed(raw)).message == "a\ufffdb"


def test_what_extra_data_cannot_hold_is_replaced_in_keys_and_values():
    event = only_pushed(SYSTEM | {"extra_data": {"k\x00": ["v\ud800", {"deep": "\x00"}]}})

    assert json.loads(event.extra_data) == {"k\ufffd": ["v\ufffd", {"deep": "\ufffd"}]}


def test_a_text_longer_than_its_column_is_cut_and_its_size_and_hash_are_kept():
    component = "é" * 150

    event = only_pushed(SYSTEM | {"component": component})

    assert len(event.component) == 100
    assert event.component.endswith("…[cut]")
    expected = {"size_bytes": 300, "sha256": hashlib.sha256(component.encode()).hexdigest()}
    assert json.loads(event.extra_data) == {"_truncated": {"component": expected}}


def test_a_text_longer_than_one_mebibyte_is_cut_at_a_character():
    event = only_pushed(SYSTEM | {"message": "é" * (600 * 1024)})

    assert len(event.message.encode()) <= 1024 * 1024
    assert event.message.endswith("é…[cut]")


@pytest.mark.parametrize(
    ("given_level", "level"),
    [
        ("info", "INFO"),
        ("Warn", "WARNING"),
        ("err", "ERROR"),
        ("fatal", "CRITICAL"),
        ("notice", "INFO"),
        ("trace", "DEBUG"),
    ],
)
def test_a_known_alias_of_a_level_is_normalised(given_level, level):
    assert only_pushed(SYSTEM | {"level": given_level}).level == level


def test_a_time_without_zone_is_utc():
    assert only_pushed(SYSTEM | {"created_at": "2026-09-21T10:00:00"}).created_at == datetime(
        2026, 9, 21, 10, tzinfo=UTC
    )


def test_an_unknown_field_is_kept_in_extra_data():
    event = only_pushed(SYSTEM | {"pod": "a-1", "extra_data": {"kept": True}})

    assert json.loads(event.extra_data) == {"pod": "a-1", "kept": True}


def test_a_secret_in_a_pushed_event_is_taken_out():
    event = only_pushed(
        SYSTEM | {"message": "login with password=hunter2hunter2", "extra_data": {"api_key": "abc123xyz"}}
    )

    assert "hunter2hunter2" not in event.message
    assert "abc123xyz" not in event.extra_data


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"not json", Reason.NOT_JSON),
        (b"", Reason.NOT_JSON),
        (b'{"type": NaN}', Reason.NOT_JSON),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", Reason.NOT_JSON),
        (b"[1]", Reason.NOT_AN_OBJECT),
        (b'"text"', Reason.NOT_AN_OBJECT),
        (b'{"level":"INFO"}', Reason.UNKNOWN_TYPE),
        (b'{"type":"audit_log"}', Reason.UNKNOWN_TYPE),
        (b'{"type":["system_log"]}', Reason.UNKNOWN_TYPE),
        (b'{"type":"system_log","level":"INFO","component":"c"}', Reason.MISSING_FIELD),
        (b'{"type":"system_log","level":"INFO","component":"c","message":null}', Reason.MISSING_FIELD),
        (b'{"type":"llm_log","provider":"p","model":"m"}', Reason.MISSING_FIELD),
        (b'{"type":"system_log","level":"INFO","component":"c","message":1}', Reason.WRONG_TYPE),
        (b'{"type":"system_log","level":"INFO","component":"c","message":"m","user_id":"no"}', Reason.WRONG_TYPE),
        (b'{"type":"system_log","level":"INFO","component":"c","message":"m","created_at":1}', Reason.WRONG_TYPE),
        (b'{"type":"system_log","level":"INFO","component":"c","message":"m","extra_data":[1]}', Reason.WRONG_TYPE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","latency_ms":"5"}', Reason.WRONG_TYPE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","latency_ms":true}', Reason.WRONG_TYPE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","streamed":1}', Reason.WRONG_TYPE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","latency_ms":2147483648}', Reason.OUT_OF_RANGE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","cost_usd":1e9999}', Reason.OUT_OF_RANGE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","cost_usd":1e-1001}', Reason.OUT_OF_RANGE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","cost_usd":0e1001}', Reason.OUT_OF_RANGE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","cost_usd":0e-16384}', Reason.OUT_OF_RANGE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","cost_usd":"sNaN"}', Reason.OUT_OF_RANGE),
        (b'{"type":"llm_log","provider":"p","model":"m","status":"s","cost_usd":"-inf"}', Reason.OUT_OF_RANGE),
        (b'{"type":"system_log","level":"LOUD","component":"c","message":"m"}', Reason.UNKNOWN_LEVEL),
        (b'{"type":"system_log","level":7,"component":"c","message":"m"}', Reason.UNKNOWN_LEVEL),
    ],
)
def test_a_pushed_event_that_cannot_be_a_row_becomes_a_dead_letter_with_its_bytes(raw, reason):
    letter = only(pushed(raw))

    assert letter.reason == reason
    assert letter.raw == raw
    assert letter.raw_is_complete
    assert letter.sha256 == hashlib.sha256(raw).digest()


@pytest.mark.parametrize("offset", [timedelta(days=1, seconds=1), -timedelta(days=30, seconds=1)])
def test_a_time_outside_the_window_of_acceptance_becomes_a_dead_letter(offset):
    moment = ACCEPTED + offset

    assert reason_of(json.dumps(SYSTEM | {"created_at": moment.isoformat()}).encode()) is Reason.TIMESTAMP_OUT_OF_RANGE
    assert only(framed(encode_frame([system_event(created_at=moment)]))).reason is Reason.TIMESTAMP_OUT_OF_RANGE


def test_an_event_larger_than_16_mebibytes_keeps_its_size_its_hash_and_its_first_bytes():
    raw = b'{"message":"' + b"x" * (16 * 1024 * 1024) + b'"}'

    letter = only(pushed(raw))

    assert (letter.reason, letter.size_bytes) == (Reason.TOO_LARGE, len(raw))
    assert (letter.raw, letter.raw_is_complete) == (raw[: 64 * 1024], False)


def test_an_entry_that_is_neither_frame_nor_list_becomes_one_dead_letter():
    assert only(Entry(b"%d-0" % ACCEPTED_MS, {b"foreign": b"field"})).reason is Reason.DAMAGED_FRAME


def test_a_bad_event_that_is_sent_again_is_one_dead_letter_if_it_has_an_id_of_its_own():
    framed_raw = msgspec.msgpack.encode([1, uuid7().bytes, ACCEPTED, "LOUD", "c", "m"])
    pushed_raw = json.dumps(SYSTEM | {"level": "LOUD", "id": str(uuid7()), "created_at": str(ACCEPTED)}).encode()
    nameless_raw = json.dumps(SYSTEM | {"level": "LOUD"}).encode()

    for first, is_one in (
        (framed(join_frame([framed_raw])), True),
        (pushed(pushed_raw), True),
        (pushed(nameless_raw), False),
        (pushed(b"not json"), False),
        (framed(b"damaged"), False),
    ):
        again = Entry(b"%d-7" % ACCEPTED_MS, first.fields)
        assert (only(first).id == only(again).id) is is_one


def test_every_reason_has_its_meaning():
    assert set(MEANINGS) == set(Reason)
