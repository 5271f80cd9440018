"""Whatever bytes come in, the decoder answers with rows and dead letters and never with an error."""

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.wire import encode_frame, join_frame
from tests.fixtures.entries import LLM, SYSTEM, decoded, framed, pushed, system_event
from worker.decode import Row

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
