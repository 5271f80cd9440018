"""Dead letters let go: by selection, when their time is over, for room; what is no row goes by nobody's mistake."""

import os
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logs_db import dead_letter_purge, dead_letter_selection
from logs_db.dead_letter_purge import held_bytes, make_room, purge, purge_expired
from logs_db.dead_letter_selection import Selection, Totals, read_totals, selected_ids
from logs_db.dead_letters import mark_replayed, read_page
from tests.fixtures.letters import NOW, letter, write

REASONS = ("not_json", "wrong_type")


@pytest.fixture
def connection(own_logs):
    return own_logs


def numbers(connection) -> list[int]:
    return sorted(row.id.int for row in read_page(connection, limit=1000))


def mark(connection, *letter_numbers: int) -> None:
    with connection.cursor() as cursor:
        mark_replayed(cursor, [UUID(int=number) for number in letter_numbers])


def see(connection, moment: datetime) -> None:
    """As if all that are there had been set aside at *moment*, and not again since."""
    connection.execute("UPDATE dead_letters SET last_seen_at = %s", [moment])


def test_expired_ones_are_purged_in_batches_and_the_others_stay(connection, monkeypatch):
    monkeypatch.setattr(dead_letter_purge, "BATCH_ROWS", 3)
    old = NOW - timedelta(days=31)
    write(connection, *(letter(number, created_at=old) for number in range(7)), letter(100))
    see(connection, old)
    mark(connection, 2)

    purged = purge_expired(connection, 30)

    assert purged == Totals(letters=7, raw_bytes=7 * letter().size_bytes, unreplayed=6)
    assert numbers(connection) == [100]
    assert purge_expired(connection, 30) == Totals()


def test_what_waited_longer_than_the_retention_before_it_was_set_aside_is_kept_as_long_as_any(connection):
    old = NOW - timedelta(days=31)
    write(connection, letter(1, created_at=old), letter(2, created_at=old))
    see(connection, old)
    write(connection, letter(2, created_at=old), letter(3, created_at=old))

    assert purge_expired(connection, 30).letters == 1
    assert numbers(connection) == [2, 3]


moments = st.none() | st.integers(0, 12).map(lambda number: NOW - timedelta(minutes=number))
selections = st.builds(
    Selection,
    ids=st.none() | st.lists(st.integers(0, 12).map(lambda number: UUID(int=number)), max_size=4).map(tuple),
    reason=st.none() | st.sampled_from(REASONS),
    since=moments,
    until=moments,
    seen_until=st.none() | st.sampled_from([NOW - timedelta(days=1), NOW + timedelta(days=1)]),
    replayed=st.none() | st.booleans(),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(selection=selections)
def test_a_selection_means_what_it_says_and_counts_what_it_means(connection, selection):
    connection.execute("DELETE FROM dead_letters")
    letters = [letter(number, reason=REASONS[number % 2]) for number in range(10)]
    write(connection, *letters)
    mark(connection, *range(0, 10, 3))

    meant = [
        one.id.int
        for one in letters
        if (selection.ids is None or one.id in selection.ids)
        and selection.reason in (None, one.reason)
        and (selection.since is None or one.created_at >= selection.since)
        and (selection.until is None or one.created_at < selection.until)
        and (selection.seen_until is None or selection.seen_until > NOW)
        and selection.replayed in (None, one.id.int % 3 == 0)
    ]

    assert [one.int for one in selected_ids(connection, selection)] == sorted(meant, reverse=True)
    assert read_totals(connection, selection).letters == len(meant)
    assert purge(connection, selection).letters == len(meant)
    assert numbers(connection) == sorted(set(range(10)) - set(meant))


def test_what_dies_while_the_selection_is_read_is_not_part_of_it(connection, monkeypatch):
    monkeypatch.setattr(dead_letter_selection, "PAGE_ROWS", 2)
    write(connection, *(letter(number) for number in range(1, 6)))
    seen = []

    for letter_id in selected_ids(connection, Selection()):
        seen.append(letter_id.int)
        write(connection, letter(1000 + len(seen), created_at=NOW), letter(letter_id.int))

    assert seen == [5, 4, 3, 2, 1]


def test_the_bytes_that_are_held_are_those_of_the_letters_there_are(connection):
    assert held_bytes(connection) == 0
    raw = os.urandom(100_000)
    write(connection, *(letter(number, raw=raw, size_bytes=len(raw)) for number in range(10)))

    assert 1_000_000 < held_bytes(connection) < 1_020_000

    connection.execute("DELETE FROM dead_letters WHERE id <> %s", [UUID(int=1)])
    assert 100_000 < held_bytes(connection) < 102_000


def test_of_a_large_table_the_bytes_are_told_by_a_sample(connection, monkeypatch):
    write(connection, *(letter(number, raw=bytes(1000), size_bytes=1000) for number in range(2000)))
    whole = held_bytes(connection)
    monkeypatch.setattr(dead_letter_purge, "SAMPLED_PAGES", 60)

    estimates = [held_bytes(connection) for _ in range(20)]

    assert len(set(estimates)) > 1
    assert whole / 2 < sum(estimates) / len(estimates) < whole * 2


def test_too_little_room_costs_the_oldest_replayed_ones_and_no_other(connection, monkeypatch):
    monkeypatch.setattr(dead_letter_purge, "BATCH_ROWS", 2)
    raw = os.urandom(10_000)
    write(connection, *(letter(number, raw=raw, size_bytes=len(raw)) for number in range(10)))
    mark(connection, 9, 8, 7, 6, 1)

    room = make_room(connection, 75_000)

    assert numbers(connection) == [0, 1, 2, 3, 4, 5]
    assert (room.purged.letters, room.purged.unreplayed) == (4, 0)
    assert room.held_bytes <= 75_000

    full = make_room(connection, 1000)

    assert numbers(connection) == [0, 2, 3, 4, 5]
    assert full.held_bytes > 1000
