"""Whatever bytes come in, the decoder answers with rows and dead letters and never with an error."""

import json
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.wire import encode_event, encode_frame, join_frame
from tests.fixtures.entries import LLM, SYSTEM, decoded, framed, pushed, system_event
from worker.decode import Row, decode_batch
from worker.verdicts import Reason

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from([*SystemLogEvent.__struct_fields__, *LlmLogEvent.__struct_fields__, "type", "other"])


@given(st.binary())
def test_no_bytes_from_the_list_crash_the_decoder(raw):
    rows, letters = decoded(pushed(raw))

    assert len(rows) + len(letters) == 1


@given(st.dictionaries(field_names, json_values), st.sampled_from([SYSTEM, LLM]))
def test_every_json_object_is_a_row_or_a_dead_letter(fields, sound):
    entry = pushed(json.dumps(fields).encode(), json.dumps(sound | fields).encode(), json.dumps(sound).encode())

    rows, letters = decoded(entry)

    assert len(rows) + len(letters) == 3
    assert any(isinstance(row, Row) and row.index == 2 for row in rows)


@given(st.binary(max_size=200))
def test_no_frame_crashes_the_decoder(body):
    rows, letters = decoded(framed(body))

    assert len(rows) + len(letters) == 1


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_event_in_a_sound_frame_crashes_the_decoder(raws):
    rows, letters = decoded(framed(join_frame(raws), count=len(raws)))

    assert all(isinstance(row.event.id, UUID) for row in rows)
    assert len(rows) + len(letters) >= min(len(raws), 1)


@given(st.text(), st.text(max_size=100), st.dictionaries(st.text(), json_values, max_size=3))
def test_looking_closely_at_a_sound_event_changes_nothing_but_what_cannot_be_stored(message, component, extra):
    clean = message.replace("\x00", "")
    event = system_event(message=clean, component=component.replace("\x00", ""), extra_data=json.dumps(extra))

    rows, letters = decoded(framed(encode_frame([event])))

    assert not letters
    assert (rows[0].event.message, rows[0].event.component) == (clean, event.component)


sound_raws = st.builds(lambda message: encode_event(system_event(message=message)), st.text(max_size=20))


@given(st.lists(sound_raws, min_size=1, max_size=4), st.data())
def test_a_frame_cut_or_changed_anywhere_is_one_dead_letter_with_its_bytes_and_its_neighbours_are_rows(raws, data):
    frame = join_frame(raws)
    place = data.draw(st.integers(0, len(frame) - 1))
    changed = frame[:place] + bytes([frame[place] ^ data.draw(st.integers(1, 255))]) + frame[place + 1 :]
    damaged = data.draw(st.sampled_from([frame[:place], changed]))

    rows, letters = decoded(framed(frame), framed(damaged), framed(frame))

    assert len(rows) == 2 * len(raws)
    assert [(letter.reason, letter.raw) for letter in letters] == [(Reason.DAMAGED_FRAME, damaged)]


@given(st.binary(max_size=8))
def test_a_frame_of_any_other_version_is_kept_whole(version):
    frame = encode_frame([system_event()])

    rows, letters = decoded(framed(frame, version=version + b"x"), framed(frame))

    assert len(rows) == 1
    assert [(letter.reason, letter.raw) for letter in letters] == [(Reason.UNKNOWN_VERSION, frame)]


packed = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(st.lists(packed | st.lists(st.sampled_from([1, 2]) | packed, min_size=1, max_size=25), max_size=4))
def test_whatever_else_is_in_a_sound_frame_its_sound_events_are_rows(others):
    raws = [msgspec.msgpack.encode(other) for other in others]
    sound = encode_event(system_event())

    rows, letters = decoded(framed(join_frame([sound, *raws, sound]), count=len(raws) + 2))

    assert len(rows) + len(letters) == len(raws) + 2
    assert {0, len(raws) + 1} <= {row.index for row in rows}


@given(st.lists(st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values), max_size=4))
def test_whatever_else_is_pushed_sound_events_are_rows(others):
    sound = json.dumps(SYSTEM).encode()

    rows, letters = decoded(pushed(sound, *others, sound))

    assert len(rows) + len(letters) == len(others) + 2
    assert {0, len(others) + 1} <= {row.index for row in rows}


digits = st.text("0123456789", min_size=1, max_size=30) | st.builds(
    str.__mul__, st.sampled_from("0179"), st.sampled_from([4300, 4301, 16_383, 17_000])
)
raw_numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    digits.map(lambda text: text.lstrip("0") or "0"),
    st.just("") | digits.map(".{}".format),
    st.just("") | st.builds("{}{}".format, st.sampled_from(["e", "E-", "e+"]), digits),
)


@given(raw_numbers, st.sampled_from(["cost_usd", "latency_ms", "created_at", "id", "message", "type", "other"]))
def test_no_number_crashes_the_decoder(number, name):
    sound = json.dumps(LLM)
    fields = (f'"{name}":{number}', f'"extra_data":{{"{name}":[{number}]}}', f'"extra_data":"{{\\"a\\":{number}}}"')
    raws = [f"{sound[:-1]},{field}}}".encode() for field in fields]
    cut = [raw[:-1] + b',"prompt":"\xff"}' for raw in raws]
    frame = encode_frame([system_event(extra_data=f'{{"{name}":{number}}}')])

    rows, letters = decoded(pushed(*raws, *cut, sound.encode()), framed(frame))

    assert len(rows) + len(letters) == 8
    assert {letter.reason for letter in letters} <= {Reason.OUT_OF_RANGE, Reason.WRONG_TYPE, Reason.UNKNOWN_TYPE}


@given(st.sampled_from([b"\x91", b"\x81\xa1k", b"\x91\x81\xa1k"]), st.integers(1, 20_000), st.booleans())
def test_no_depth_of_nesting_crashes_the_decoder(opening, depth, is_field):
    nested = opening * depth + b"\xc0"
    sound = encode_event(system_event())
    wider = sound[:2] + bytes([sound[2] + 1]) + sound[3:] + nested
    entry = framed(join_frame([sound, wider if is_field else nested]), count=2)

    rows, letters = decoded(entry, framed(encode_frame([system_event()])))
    batch = decode_batch([entry])

    reasons = {letter.reason for letter in letters}
    assert reasons <= {Reason.DAMAGED_FRAME, Reason.UNKNOWN_TYPE, Reason.NOT_AN_OBJECT, Reason.WRONG_TYPE}
    assert reasons or is_field
    assert rows[-1].entry is not entry
    assert batch.system_logs or batch.dead_letters
