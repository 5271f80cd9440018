"""Lines of PostgreSQL's jsonlog become system logs, each once and whole."""

import json
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from headhunter.stack.postgres_log import _lines, postgres_event

ENTRY = {
    "timestamp": "2026-11-24 23:13:21.685 UTC",
    "pid": 12961,
    "error_severity": "LOG",
    "message": "checkpoint complete",
    "backend_type": "checkpointer",
}


def test_an_entry_keeps_its_time_to_the_millisecond_and_all_its_other_fields():
    event = postgres_event(ENTRY)

    assert event.created_at == datetime(2026, 11, 24, 23, 13, 21, 685_000, tzinfo=UTC)
    assert event.id.int >> 80 == int(event.created_at.timestamp() * 1000)
    assert (event.level, event.component, event.message) == ("INFO", "postgresql.checkpointer", "checkpoint complete")
    assert (event.error_type, event.error_message, event.service) == (None, None, "postgresql")
    assert json.loads(event.extra_data) == {"pid": 12961, "backend_type": "checkpointer"}


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        ("DEBUG3", "DEBUG"),
        ("INFO", "INFO"),
        ("NOTICE", "INFO"),
        ("LOG", "INFO"),
        ("WARNING", "WARNING"),
        ("ERROR", "ERROR"),
        ("FATAL", "CRITICAL"),
        ("PANIC", "CRITICAL"),
    ],
)
def test_each_severity_has_its_level(severity, level):
    assert postgres_event(ENTRY | {"error_severity": severity}).level == level


def test_an_error_keeps_its_sqlstate():
    event = postgres_event(ENTRY | {"error_severity": "ERROR", "state_code": "42P01", "message": "no table"})

    assert (event.error_type, event.error_message) == ("42P01", "no table")


@pytest.mark.parametrize("entry", [{}, ENTRY | {"timestamp": "2026-11-24 23:13:21.685 CET"}])
def test_what_is_no_entry_is_refused(entry):
    with pytest.raises((KeyError, ValueError)):
        postgres_event(entry)


def test_a_line_in_two_pieces_is_read_as_one_and_the_last_ones_are_read_on_stop(tmp_path):
    path, stop, seen = tmp_path / "log", Event(), []
    reader = Thread(target=lambda: seen.extend(_lines(path, stop)))
    reader.start()
    with path.open("w") as file:
        for piece in ("one\ntw", "o\n", "three\n", "unfinished"):
            file.write(piece)
            file.flush()
    stop.set()
    reader.join(timeout=5)

    assert seen == ["one\n", "two\n", "three\n"]


def test_a_log_that_never_comes_is_waited_for_only_until_stop(tmp_path):
    stop = Event()
    stop.set()

    assert list(_lines(tmp_path / "none", stop)) == []
