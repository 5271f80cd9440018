"""The table of verdicts, played with framed events, which mostly go the fast way of decoding."""

import json
from decimal import Decimal

import msgspec
import pytest

from log_events.uuid7 import uuid7
from log_events.wire import encode_frame, join_frame
from tests.fixtures.entries import ACCEPTED, ACCEPTED_MS, decoded, framed, only, system_event
from tests.fixtures.logs import llm_event
from worker.decode import decode_batch
from worker.verdicts import Reason


def test_a_frame_that_keeps_the_contract_is_decoded_in_one_step():
    events = [system_event(extra_data='{"a":1}'), system_event(level="ERROR")]

    assert decode_batch([framed(encode_frame(events), count=2)]).system_logs == events


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"extra_data": "[1]"}, Reason.WRONG_TYPE),
        ({"extra_data": '"a text"'}, Reason.WRONG_TYPE),
        ({"extra_data": '{"a":"' + "x" * (16 * 1024 * 1024) + '"}'}, Reason.TOO_LARGE),
        ({"cost_usd": Decimal("1e1001")}, Reason.OUT_OF_RANGE),
        ({"cost_usd": Decimal("-1e-1001")}, Reason.OUT_OF_RANGE),
        ({"cost_usd": Decimal("NaN")}, Reason.OUT_OF_RANGE),
        ({"cost_usd": Decimal("1." + "0" * 16_384)}, Reason.OUT_OF_RANGE),
    ],
    ids=["an array", "a text", "16 MiB", "large", "small", "no number", "precise"],
)
def test_a_framed_event_gets_the_same_verdict_whichever_way_its_frame_goes(changes, reason):
    make = llm_event if "cost_usd" in changes else system_event
    bad, good = make(id=uuid7(ACCEPTED_MS), created_at=ACCEPTED, **changes), system_event()
    entry = framed(encode_frame([good, bad]), count=2)

    batch = decode_batch([entry])

    assert [letter.reason for letter in batch.dead_letters] == [reason]
    assert (batch.system_logs, batch.llm_logs) == ([good], [])
    assert decoded(entry)[1] == batch.dead_letters


def test_a_damaged_frame_becomes_one_dead_letter():
    frame = bytearray(encode_frame([system_event()]))
    frame[-1] ^= 1

    letter = only(framed(bytes(frame)))

    assert (letter.reason, letter.raw, letter.entry_index) == (Reason.DAMAGED_FRAME, bytes(frame), None)


def test_a_frame_of_an_unknown_version_becomes_one_dead_letter():
    assert only(framed(encode_frame([system_event()]), version=b"9")).reason is Reason.UNKNOWN_VERSION


def test_a_bad_event_in_a_frame_costs_its_neighbours_nothing():
    good = system_event()
    bad = msgspec.msgpack.encode([1, good.id.bytes, ACCEPTED, "LOUD", "c", "m"])
    unknown = msgspec.msgpack.encode([9, "?"])
    encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode

    rows, letters = decoded(framed(join_frame([encode(good), bad, unknown, b"\xc0"]), count=4))

    assert [row.event for row in rows] == [good]
    assert [letter.reason for letter in letters] == [Reason.UNKNOWN_LEVEL, Reason.UNKNOWN_TYPE, Reason.NOT_AN_OBJECT]
    assert [letter.entry_index for letter in letters] == [1, 2, 3]


def test_invalid_utf8_in_a_frames_text_is_replaced():
    text = msgspec.msgpack.encode("a?b").replace(b"?", b"\xff")
    head = msgspec.msgpack.encode([1, uuid7(ACCEPTED_MS).bytes, ACCEPTED, "INFO", "c"])
    raw = bytes([head[0] + 1]) + head[1:] + text

    assert only(framed(join_frame([raw]))).message == "a\ufffdb"


@pytest.mark.parametrize("component", ["c", "x" * 200])
def test_a_longer_array_of_a_newer_producer_keeps_what_is_unknown(component):
    encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
    values = [1, *msgspec.structs.astuple(system_event(component=component)), "new"]

    event = only(framed(join_frame([encode(values)])))

    assert json.loads(event.extra_data)["field_17"] == "new"
