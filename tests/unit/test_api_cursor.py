import string
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.page_cursor import CursorCodec, CursorError, PageCursor
from logs_db.queries import Position, Window

CODEC = CursorCodec(b"secret")
QUERY = 'system_logs {"level":["ERROR"]}'
TIMES = st.datetimes(timezones=st.just(UTC))
CURSORS = st.builds(
    PageCursor, window=st.builds(Window, TIMES, TIMES), after=st.builds(Position, TIMES, st.uuids(allow_nil=True))
)
SOME = PageCursor(
    Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
    Position(datetime(2026, 1, 1, 12, tzinfo=UTC), UUID(int=7)),
)


@given(CURSORS, st.text(st.characters(codec="utf-8")))
def test_a_cursor_comes_back_as_it_was(cursor, query):
    assert CODEC.decode(CODEC.encode(cursor, query), query) == cursor


@given(CURSORS, st.integers(0, 74), st.sampled_from("ABCXYZabcxyz0189-_"))
def test_a_cursor_with_any_character_changed_is_refused(cursor, place, character):
    text = CODEC.encode(cursor, QUERY)
    altered = text[:place] + character + text[place + 1 :]
    if altered != text:
        with pytest.raises(CursorError):
            CODEC.decode(altered, QUERY)


def test_only_one_spelling_of_a_cursor_is_taken():
    text = CODEC.encode(SOME, QUERY)
    same_bytes = [text[:-1] + last for last in string.ascii_letters + string.digits + "-_" if last != text[-1]]

    for spelling in (*same_bytes, text + "=", text + "\n", f" {text}"):
        with pytest.raises(CursorError):
            CODEC.decode(spelling, QUERY)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{75}", fullmatch=True))
def test_no_text_of_others_is_a_cursor(text):
    with pytest.raises(CursorError, match="begin anew"):
        CODEC.decode(text, QUERY)


def test_a_cursor_goes_on_with_its_own_query_only():
    text = CODEC.encode(SOME, QUERY)

    with pytest.raises(CursorError):
        CODEC.decode(text, QUERY.replace("ERROR", "INFO"))
    with pytest.raises(CursorError):
        CODEC.decode(text, QUERY.replace("system", "llm"))


def test_a_cursor_is_read_by_all_who_share_the_secret_and_by_nobody_else():
    text = CODEC.encode(SOME, QUERY)

    assert CursorCodec(b"secret").decode(text, QUERY) == SOME
    with pytest.raises(CursorError):
        CursorCodec(b"another").decode(text, QUERY)
