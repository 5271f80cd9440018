"""A replayed dead letter: its events are those that were accepted then, whatever entry brings them now."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_events.replay_frame import REPLAY_VERSION, Replay, decode_replay, encode_replay
from log_events.wire import FrameError, encode_event, with_checksum
from tests.fixtures.entries import ACCEPTED, ACCEPTED_MS, LLM, SYSTEM, decoded, only, pushed, system_event
from worker.account import Account
from worker.decode import decode_each
from worker.entry import Entry

LETTER_ID = UUID(int=7)
PUSHED = json.dumps(SYSTEM).encode()


def replay(**changes) -> Replay:
    fields = {
        "letter_id": LETTER_ID,
        "source": "list",
        "accepted_at": ACCEPTED,
        "entry_id": f"{ACCEPTED_MS}-0",
        "generation": "generation",
        "frame_version": None,
        "entry_index": 0,
        "redates": False,
        "raws": [PUSHED],
    }
    return Replay(**fields | changes)


def replayed(number: int = 5, **changes) -> Entry:
    sent = replay(**changes)
    counts = sent.counts
    fields = {b"n": counts.events, b"l": counts.llm_logs, b"o": counts.others}
    frame = {b"v": REPLAY_VERSION, b"g": b"another", b"z": encode_replay(sent)}
    return Entry(b"%d-3" % (ACCEPTED_MS + number), frame | {name: b"%d" % count for name, count in fields.items()})


def test_a_replayed_event_is_the_row_that_it_would_have_been_at_first():
    assert only(replayed()) == only(pushed(PUSHED))
    second = decoded(pushed(b"{}", PUSHED))[0][0].event
    assert only(replayed(entry_index=1)) == second


def test_it_is_the_same_row_whenever_it_is_replayed():
    assert only(replayed(1)) == only(replayed(2))
    assert only(replayed(1, generation=None)) == only(replayed(2, generation=None))


def test_equal_events_of_which_the_stream_was_not_kept_are_two_rows():
    assert only(replayed(generation=None)).id != only(replayed(generation=None, letter_id=UUID(int=8))).id


def test_a_framed_event_comes_back_as_it_was():
    event = system_event()

    assert only(replayed(source="stream", raws=[encode_event(event)], frame_version="1")) == event


def test_one_that_fails_again_is_the_same_letter_with_the_same_origin():
    first = decoded(pushed(PUSHED, b"not json"))[1][0]

    again = only(replayed(letter_id=first.id, entry_index=1, raws=[b"not json"]))

    assert again == first


def test_one_of_an_unknown_stream_that_fails_again_is_the_same_letter():
    assert only(replayed(generation=None, raws=[b"not json"])).id == LETTER_ID


def test_events_of_a_whole_frame_that_fail_are_letters_of_their_own():
    good, bad = encode_event(system_event()), b"\x01"

    rows, letters = decoded(replayed(source="stream", entry_index=None, frame_version="1", raws=[good, bad]))

    assert [row.index for row in rows] == [0]
    assert [(one.entry_index, one.entry_id, one.id == LETTER_ID) for one in letters] == [(1, f"{ACCEPTED_MS}-0", False)]


@pytest.mark.parametrize("claimed", ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "yesterday", 17, "infinity"])
def test_an_impossible_time_gives_way_to_the_time_of_acceptance_only_where_that_is_asked_for(claimed):
    raw = json.dumps(SYSTEM | {"created_at": claimed, "extra_data": {"a": 1}}).encode()

    dead = only(replayed(raws=[raw]))
    row = only(replayed(raws=[raw], redates=True))

    assert dead.reason in ("timestamp_out_of_range", "wrong_type")
    assert row.created_at == ACCEPTED
    assert json.loads(row.extra_data) == {"a": 1, "claimed_created_at": str(claimed)}


def test_a_possible_time_stays_where_redating_is_asked_for():
    moment = ACCEPTED - timedelta(days=3)
    raw = json.dumps(SYSTEM | {"created_at": moment.isoformat()}).encode()

    assert only(replayed(raws=[raw], redates=True)).created_at == moment
    assert only(replayed(raws=[PUSHED], redates=True)).extra_data is None


raws_of_any_kind = st.lists(
    st.binary(max_size=40) | st.sampled_from([PUSHED, json.dumps(LLM).encode(), encode_event(system_event())]),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(["list", "stream", "legacy"]), raws_of_any_kind)
def test_worker_and_door_count_the_same_of_each_kind(source, raws):
    entry = replayed(source=source, entry_index=None, raws=raws)
    rows, dead = decode_each([entry])
    account = Account()
    for item in dead:
        item.count_in(account)
    for row in rows:
        account.add(row.entry, row.kind, "written")

    counted = {row.kind: row.written_events + row.dead_events for row in account.rows()}
    assert counted == {kind: entry.counts.of(kind) for kind in counted}
    assert sum(counted.values()) == entry.counts.events == len(raws)


@given(st.binary(max_size=200))
def test_whatever_says_that_it_is_a_replay_is_a_row_or_a_dead_letter(body):
    for frame in (body, with_checksum(body)):
        rows, letters = decoded(Entry(b"1-0", {b"v": REPLAY_VERSION, b"n": b"1", b"z": frame}))

        assert len(rows) + len(letters) == 1


def test_a_replay_nested_beyond_reading_is_damaged():
    frame = with_checksum(b"\x81\xa1k" + b"\x91" * 5000 + b"\xc0")

    assert only(Entry(b"1-0", {b"v": REPLAY_VERSION, b"n": b"1", b"z": frame})).reason == "damaged_frame"


@pytest.mark.parametrize(
    "changes",
    [
        {"entry_id": "1-0\x00"},
        {"entry_id": "9" * 70 + "-0"},
        {"generation": "g" * 33},
        {"frame_version": "\x00"},
        {"entry_index": -1},
        {"accepted_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"accepted_at": datetime(9999, 12, 31, tzinfo=UTC)},
        {"accepted_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - the fault
        {"source": "mail"},
    ],
)
def test_a_replay_that_no_letter_can_be_made_of_is_damaged(changes):
    frame = encode_replay(replay(**changes))

    with pytest.raises(FrameError):
        decode_replay(frame)
    assert only(Entry(b"1-0", {b"v": REPLAY_VERSION, b"n": b"1", b"z": frame})).reason == "damaged_frame"
