"""Dead letters: written once and counted, listed by pages, shown with their bytes, let go in time."""

import threading
from dataclasses import asdict, replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from logs_db.dead_letters import DeadLetterRow, mark_replayed, read_counts, read_one, read_page
from logs_db.models import DeadLetter
from tests.fixtures.letters import NOW, letter, write


@pytest.fixture
def connection(logs_connection):
    return logs_connection


def test_what_is_written_is_what_is_shown(connection):
    write(connection, letter())

    shown = asdict(read_one(connection, UUID(int=1)))
    assert {name: shown[name] for name in asdict(letter())} == asdict(letter())
    assert shown["seen_count"] == 1


def test_the_fields_are_the_columns():
    columns = [column.name for column in DeadLetter.__table__.columns]
    assert sorted([*asdict(letter()), "seen_count", "last_seen_at", "replayed_at"]) == sorted(columns)


def test_a_redelivery_is_counted_and_changes_nothing_but_the_verdict(connection):
    write(connection, letter())
    before = read_one(connection, UUID(int=1))

    write(connection, letter(), letter(reason="wrong_type", detail="another sentence", raw=b"other", size_bytes=5))

    after = read_one(connection, UUID(int=1))
    assert (after.seen_count, after.reason, after.detail) == (3, "wrong_type", "another sentence")
    assert after.last_seen_at > before.last_seen_at
    assert (
        replace(after, seen_count=1, last_seen_at=before.last_seen_at, reason=before.reason, detail=before.detail)
        == before
    )


def test_a_letter_is_marked_as_replayed_once_and_stays_so(connection):
    write(connection, letter(1), letter(2))

    marks = set()
    for _ in range(2):
        with connection.cursor() as cursor:
            mark_replayed(cursor, [UUID(int=1), UUID(int=77), UUID(int=1)])
        write(connection, letter(1))
        marks.add(read_one(connection, UUID(int=1)).replayed_at)

    assert len(marks - {None}) == len(marks) == 1
    assert read_one(connection, UUID(int=2)).replayed_at is None
    assert [(count.rows, count.replayed_rows, count.unreplayed_rows) for count in read_counts(connection)] == [
        (2, 1, 1)
    ]


def test_two_workers_with_the_same_letters_in_other_orders_run_into_no_deadlock(logs_database_url):
    letters = [letter(number) for number in range(200)]
    failures: list[psycopg.Error] = []

    def work(of_worker: list[DeadLetterRow]) -> None:
        with psycopg.connect(logs_database_url, autocommit=True) as own:
            try:
                for _ in range(5):
                    write(own, *of_worker)
            except psycopg.Error as error:
                failures.append(error)

    workers = [threading.Thread(target=work, args=[each]) for each in (letters, letters[::-1])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert failures == []
    with psycopg.connect(logs_database_url) as connection:
        assert {row.seen_count for row in read_page(connection, limit=500)} == {10}


def test_pages_are_newest_first_and_leave_nothing_out(connection):
    write(connection, *(letter(number, created_at=NOW - timedelta(minutes=number // 3)) for number in range(10)))

    seen, after = [], None
    while page := read_page(connection, limit=4, after=after):
        seen += page
        after = (page[-1].created_at, page[-1].id)

    assert len(seen) == len({row.id for row in seen}) == 10
    assert [(row.created_at, row.id) for row in seen] == sorted(
        ((row.created_at, row.id) for row in seen), reverse=True
    )


def test_a_page_of_one_reason_holds_no_other(connection):
    write(connection, letter(1), letter(2, reason="wrong_type"), letter(3))

    assert [row.id.int for row in read_page(connection, limit=10, reason="wrong_type")] == [2]
    assert [(count.reason, count.rows) for count in read_counts(connection)] == [("not_json", 2), ("wrong_type", 1)]
    assert [count.rows for count in read_counts(connection, since=NOW - timedelta(minutes=1, seconds=30))] == [1]


def test_what_is_not_there_is_none(connection):
    assert read_one(connection, uuid4()) is None
    assert read_page(connection, limit=10) == []
    write(connection)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"reason": "Not JSON"}, "ck_dead_letters_reason_is_a_word"),
        ({"source": "mail"}, "ck_dead_letters_source"),
        ({"entry_index": -1}, "ck_dead_letters_entry_index_from_zero"),
        ({"sha256": b"short"}, "ck_dead_letters_sha256_is_whole"),
        ({"size_bytes": 3}, "ck_dead_letters_raw_by_size"),
        ({"size_bytes": 99_999_999}, "ck_dead_letters_raw_by_size"),
        ({"raw_is_complete": False}, "ck_dead_letters_raw_by_size"),
    ],
)
def test_what_cannot_be_is_refused(connection, changes, constraint):
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        write(connection, letter(**changes))

    assert caught.value.diag.constraint_name == constraint


def test_of_a_huge_one_the_beginning_and_the_size_are_kept(connection):
    write(connection, letter(raw=b"x" * 65536, size_bytes=20_000_000, raw_is_complete=False))

    assert len(read_one(connection, UUID(int=1)).raw) == 65536
