"""One bad event among ten thousand: what it costs, in statements as they go over the wire."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from psycopg import pq

from tests.fixtures.logs import system_event
from tests.fixtures.written import again, entry, letters, rows
from worker.entry import Entry

EVENTS = 10_000
A_FRAME = 200
MOST_EXTRA = 2 * math.log2(EVENTS)

_SENT = re.compile(r"F\s+\d+\s+(?:Query|Parse)\s+(?:\"[^\"]*\" )?\"(.*)\"")


def frames(bad_message: str | None = None, place: int = 6170) -> list[Entry]:
    messages = ["good"] * EVENTS
    if bad_message is not None:
        messages[place] = bad_message
    events = [system_event(message=message) for message in messages]
    return [entry(*events[start : start + A_FRAME]) for start in range(0, EVENTS, A_FRAME)]


@pytest.fixture
def statements_of(writer, tmp_path):
    """A function that has entries written and counts the statements that it takes, by their first word."""
    writer.write([entry(system_event())])

    def count(entries: Sequence[Entry]) -> Counter:
        trace = tmp_path / "trace"
        connection = writer._connection.pgconn
        with trace.open("w") as file:
            connection.trace(file.fileno())
            connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            writer.write(entries)
            connection.untrace()
        sent = [found[1] for line in trace.read_text(errors="replace").splitlines() if (found := _SENT.match(line))]
        assert connection is writer._connection.pgconn
        return Counter(part.split()[0] for text in sent for part in text.split(";"))

    return count


def test_one_refused_event_among_ten_thousand_costs_no_other_and_few_statements(statements_of, logs_connection):
    logs_connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_no_evil CHECK (message <> 'evil')")
    usual = statements_of(frames())

    with_one_bad = statements_of(frames("evil"))

    assert (rows(logs_connection), letters(logs_connection)) == (1 + 2 * EVENTS - 1, {"refused": 1})
    assert 0 < with_one_bad.total() - usual.total() <= MOST_EXTRA


def test_one_event_to_be_mended_among_ten_thousand_costs_few_statements(statements_of, logs_connection):
    usual = statements_of(frames())

    with_one_to_mend = statements_of(frames("a\x00b"))

    assert (rows(logs_connection), letters(logs_connection)) == (1 + 2 * EVENTS, {})
    assert 0 < with_one_to_mend.total() - usual.total() <= MOST_EXTRA


def test_where_nothing_names_the_row_it_is_found_by_halving(statements_of, logs_connection):
    logs_connection.execute("ALTER TABLE system_logs ADD CONSTRAINT ck_no_evil CHECK (message <> 'evil')")

    sent = statements_of([again(each) for each in frames("evil", place=EVENTS - 1)])

    assert (rows(logs_connection), letters(logs_connection)) == (EVENTS, {"refused": 1})
    # The first two tries are of all rows; the last INSERT is the dead letter's.
    assert sent["INSERT"] - 3 <= MOST_EXTRA
