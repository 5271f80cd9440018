"""
One page of a search: the newest rows of a filter, looked for from the newest part of the window on.

The window is read in stretches that grow, so that a full page costs the newest days only and an empty one few
statements; no statement covers more than 31 days.  Where the rollups know better than any index, they say which hours
can hold a match.  What only the rows can tell is looked for in so many rows a page, and the answer says how far that
was.  A page that was long enough at work ends early in the same way: the next one goes on where it stopped.
"""

import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from api.log_reader import LogSession
from logs_db.queries import LogFilter, PageQuery, Position, Stretch, Window, page
from logs_db.queries.occurrences import matching_hours, recounted_days, windows_to_read
from logs_db.queries.pages import edge

SEARCH_SECONDS: Final = 2.0
"""After so long a page ends where it is."""
LOOKED_ROWS: Final = 200_000
"""Rows that a page looks at one by one."""
CHUNK_ROWS: Final = 20_000
"""Rows looked at in one statement."""
FIRST_STRETCH: Final = timedelta(days=2)
LONGEST_STRETCH: Final = timedelta(days=31)
WINDOWS_A_STATEMENT: Final = 16
_BEFORE_ALL_IDS: Final = UUID(int=0)
_WORD: Final = re.compile(r"\w{3}")
_HAS_TRIGRAMS: Final = PageQuery(
    sql.Composed(
        [
            sql.SQL(
                "SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_opclass o ON o.oid = ANY (x.indclass)"
                " WHERE x.indrelid = 'public.system_logs'::regclass AND o.opcname = 'gin_trgm_ops' AND x.indisvalid"
            )
        ]
    ),
    {},
)


@dataclass(frozen=True, slots=True)
class Found:
    """
    The rows of one page, newest first.

    Args:
        rows: As of the table.
        next_place: Where the next page begins; None: all of the window was looked at.
        searched_since: All that is newer, from the begin of the page, was looked at.
    """

    rows: list[dict[str, Any]]
    next_place: Position | None
    searched_since: datetime


@dataclass
class Search:
    """One page of *filters* within *window*, from *after* on."""

    session: LogSession
    filters: LogFilter
    window: Window
    after: Position | None
    limit: int
    payloads: bool = False
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _looked_rows: int = 0
    _end: Position | None = None

    async def run(self) -> Found:
        """
        The page.

        Raises:
            psycopg.Error: The database is away, silent, or could not even finish the first stretch in time.
        """
        started = time.monotonic()
        try:
            async for stretch in self._stretches():
                if self._end and (self._looked_rows >= LOOKED_ROWS or time.monotonic() - started > SEARCH_SECONDS):
                    return self._stopped(self._end)
                last = await self._read(stretch)
                if last is not None:
                    return Found(self._rows, last, last.created_at)
        except psycopg.errors.QueryCanceled:
            # What was found before is worth having; the next page begins with what took too long.
            if self._end is None:
                raise
            return self._stopped(self._end)
        return Found(self._rows, None, self.window.since)

    async def _read(self, stretch: Stretch) -> Position | None:
        """Add the rows of *stretch*; the place of the page's last one if there are more."""
        room = self.limit - len(self._rows)
        query = page(self.filters, stretch, limit=room + 1, payloads=self.payloads)
        found = await self.session.page(query, room)
        self._rows += found.rows
        if found.has_more:
            return Position(self._rows[-1]["created_at"], self._rows[-1]["id"])
        self._looked_rows += stretch.looked_rows
        self._end = stretch.down_to or Position(stretch.windows[-1].since, _BEFORE_ALL_IDS)
        return None

    def _stopped(self, end: Position) -> Found:
        return Found(self._rows, end, end.created_at)

    async def _stretches(self) -> AsyncIterator[Stretch]:
        """What is to be read, the newest first."""
        by_rows = await self._is_known_to_rows_alone()
        for window in growing(self.window, self.after):
            windows = await self._windows(window)
            if not by_rows:
                for first in range(0, len(windows), WINDOWS_A_STATEMENT):
                    yield Stretch(tuple(windows[first : first + WINDOWS_A_STATEMENT]), self.after)
                continue
            for narrow in windows:
                async for chunk in self._chunks(narrow):
                    yield chunk

    async def _windows(self, window: Window) -> list[Window]:
        """The parts of *window* that may hold rows."""
        if not self.filters.is_selective_by_counts:
            return [window]
        recounted = await self.session.all(recounted_days(self.filters, window))
        hours = await self.session.all(matching_hours(self.filters, window)) if recounted else []
        return windows_to_read(window, recounted, hours)

    async def _chunks(self, window: Window) -> AsyncIterator[Stretch]:
        """*window* in pieces of so many rows, by what an index can tell of them."""
        after = self.after
        while True:
            rest = Stretch((window,), after)
            ends = await self.session.all(edge(self.filters.without_scan, rest, rows=CHUNK_ROWS))
            if not ends:
                yield rest
                return
            down_to = Position(ends[0]["created_at"], ends[0]["id"])
            yield Stretch((window,), after, down_to, CHUNK_ROWS)
            after = down_to

    async def _is_known_to_rows_alone(self) -> bool:
        if self.filters.extra_contains is not None or self.filters.extra_path is not None:
            return True
        # Trigrams are made of three letters or digits in a row.
        text = self.filters.text
        return text is not None and not (_WORD.search(text) and await self.session.all(_HAS_TRIGRAMS))


def growing(window: Window, after: Position | None) -> Iterator[Window]:
    """*window* from *after* on, in parts, each twice as long as the one before until they are 31 days long."""
    until = window.until if after is None else min(window.until, after.created_at + timedelta(microseconds=1))
    length = FIRST_STRETCH
    while until > window.since:
        since = window.since if until - window.since <= length else until - length
        yield Window(since, until)
        until, length = since, min(length * 2, LONGEST_STRETCH)
