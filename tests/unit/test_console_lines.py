"""One record is one line that a person and a program can read, and that holds no secret."""

import io
import logging
import sys

import pytest

from headhunter.console import LineFormatter, set_up_logging


def record(message="Wrote a batch", level=logging.INFO, args=(), exc_info=None, **extra):
    made = logging.LogRecord("worker.write", level, __file__, 1, message, args, exc_info)
    made.created, made.msecs = 1_769_860_800.0625, 62.5
    made.__dict__.update(extra)
    return made


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = before
    logging.captureWarnings(False)


def test_a_line_has_time_level_logger_event_message_and_fields():
    line = LineFormatter().format(record(event="batch_written", rows=12, table="llm logs", seconds=0.25, empty=""))

    assert line == (
        "2026-01-31T12:00:00.062Z INFO worker.write batch_written Wrote a batch "
        'rows=12 table="llm logs" seconds=0.25 empty=""'
    )


def test_line_breaks_stay_within_the_line():
    line = LineFormatter().format(record("a\nb %s", args=("c\r\nd",), note="e\nf"))

    assert line.endswith('worker.write a\\nb c\\r\\nd note="e\\nf"')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to postgresql://me:s3cr@t@host:5432/db failed", "to postgresql://me:***@host:5432/db failed"),
        ("at redis://:s3cret@127.0.0.1:6379/0", "at redis://:***@127.0.0.1:6379/0"),
        ("host=h password=s3cret dbname=d", "host=h password=*** dbname=d"),
        ("host=h password='s3 cret' dbname=d", "host=h password=*** dbname=d"),
    ],
)
def test_passwords_are_hidden_wherever_they_stand(text, shown):
    assert shown in LineFormatter().format(record(text))
    assert shown in LineFormatter().format(record("at %s", args=(text,)))
    assert "s3" not in LineFormatter().format(record("constant", url=text))


def test_fields_with_secret_names_are_hidden_and_token_counts_are_not():
    line = LineFormatter().format(record(admin_token="t0p", password="pw1", prompt_tokens=7, client_secret="cs"))

    assert "admin_token=*** password=*** prompt_tokens=7 client_secret=***" in line


def test_a_traceback_is_folded_into_the_line_and_unfolded_on_a_terminal():
    try:
        int("postgresql://me:hidden@host/db")
    except ValueError:
        failed = record("Failed", logging.ERROR, exc_info=sys.exc_info())

    folded, unfolded = LineFormatter().format(failed), LineFormatter(colour=True).format(failed)

    assert "\n" not in folded
    assert "traceback=" in folded
    assert "\nTraceback (most recent call last)" in unfolded
    assert "hidden" not in folded + unfolded


def test_colours_are_for_terminals_only_and_no_color_is_honoured(root_logger, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    written = {}
    for name, stream, no_color in (
        ("pipe", io.StringIO(), ""),
        ("terminal", Terminal(), ""),
        ("plain", Terminal(), "1"),
    ):
        monkeypatch.setenv("NO_COLOR", no_color)
        set_up_logging(stream=stream)
        logging.getLogger("x").warning("Careful")
        written[name] = stream.getvalue()

    assert "\x1b[33mWARNING\x1b[0m" in written["terminal"]
    assert "\x1b" not in written["pipe"] + written["plain"]
    assert len(root_logger.handlers) == 1
