import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from api import log_search
from api.log_reader import Rows
from api.log_search import Search
from logs_db.queries import Position, SystemLogFilter, Window

END = datetime(2026, 6, 15, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(END - 300 * DAY, END)


class Session:
    """Answers pages with what it is given, and keeps the windows that were asked for."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def page(self, query, limit):
        parameters = query.parameters
        self.asked.append(Window(parameters["since_0"], parameters["until_0"]))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Rows(answer[:limit], has_more=len(answer) > limit)


def rows(*days_ago):
    return [{"created_at": END - days * DAY, "id": UUID(int=7)} for days in days_ago]


def searched(session, limit=2):
    return asyncio.run(Search(session, SystemLogFilter(), WINDOW, None, limit).run())


def test_a_full_page_has_read_the_newest_days_only():
    session = Session(rows(0.1, 0.2, 0.3))

    found = searched(session)

    assert session.asked == [Window(END - 2 * DAY, END)]
    assert found.rows == rows(0.1, 0.2)
    assert found.next_place == Position(END - 0.2 * DAY, UUID(int=7))


def test_an_empty_window_is_read_in_few_statements_none_over_31_days():
    session = Session(*[[]] * 20)

    found = searched(session)

    assert (found.rows, found.next_place, found.searched_since) == ([], None, WINDOW.since)
    assert len(session.asked) < 15
    assert max(window.until - window.since for window in session.asked) <= 31 * DAY


def test_what_was_found_before_a_statement_took_too_long_is_given_and_the_next_page_goes_on():
    found = searched(Session(rows(0.1), psycopg.errors.QueryCanceled()))

    assert found.rows == rows(0.1)
    assert found.next_place == Position(END - 2 * DAY, UUID(int=0))
    assert found.searched_since == END - 2 * DAY


def test_a_search_that_did_not_get_anywhere_is_an_error():
    with pytest.raises(psycopg.errors.QueryCanceled):
        searched(Session(psycopg.errors.QueryCanceled()))


def test_a_search_that_was_long_enough_at_work_ends_early(monkeypatch):
    monkeypatch.setattr(log_search, "SEARCH_SECONDS", -1.0)
    session = Session(rows(0.5), [])

    found = searched(session)

    assert len(session.asked) == 1
    assert found.next_place == Position(END - 2 * DAY, UUID(int=0))
