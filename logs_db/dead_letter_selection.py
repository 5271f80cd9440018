"""Which dead letters are meant: by id, by reason, by time, those that were replayed or those that were not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    import psycopg

PAGE_ROWS = 1000

_IDS: Final = sql.SQL(
    "SELECT id, created_at FROM public.dead_letters WHERE {} AND created_at <= %(newest)s"
    " AND (%(after)s::uuid IS NULL OR (created_at, id) > (%(after_time)s, %(after)s))"
    " ORDER BY created_at, id LIMIT %(rows)s"
)
_NEWEST: Final = sql.SQL("SELECT max(created_at) FROM public.dead_letters WHERE {}")
_TOTALS: Final = sql.SQL(
    "SELECT count(*), coalesce(sum(octet_length(raw)), 0)::bigint, count(*) FILTER (WHERE replayed_at IS NULL)"
    " FROM public.dead_letters WHERE {}"
)
_CONDITIONS: Final[dict[str, LiteralString]] = {
    "ids": "id = ANY (%(ids)s)",
    "reason": "reason = %(reason)s",
    "since": "created_at >= %(since)s",
    "until": "created_at < %(until)s",
    "seen_until": "last_seen_at < %(seen_until)s",
}
_REPLAYED: Final[dict[bool | None, LiteralString]] = {
    None: "true",
    True: "replayed_at IS NOT NULL",
    False: "replayed_at IS NULL",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters of which all that is given holds; times are those of acceptance unless they say otherwise."""

    ids: tuple[UUID, ...] | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Those accepted before then."""
    replayed: bool | None = None
    seen_until: datetime | None = None
    """Those that were last set aside before then, by the database's clock."""

    @property
    def condition(self) -> sql.Composed:
        """What follows WHERE; the values are `parameters`."""
        given = [sql.SQL(text) for name, text in _CONDITIONS.items() if getattr(self, name) is not None]
        return sql.SQL(" AND ").join([sql.SQL(_REPLAYED[self.replayed]), *given])

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that `condition` names."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _CONDITIONS}
        return values | {"ids": None if self.ids is None else list(self.ids)}


@dataclass(frozen=True, slots=True)
class Totals:
    """How many dead letters, the bytes of what they hold, and how many of them were never replayed."""

    letters: int = 0
    raw_bytes: int = 0
    unreplayed: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.letters + other.letters, self.raw_bytes + other.raw_bytes, self.unreplayed + other.unreplayed
        )


def selected_ids(connection: psycopg.Connection[Any], selection: Selection) -> Iterator[UUID]:
    """
    The ids of *selection*, the oldest first, page by page.

    Each letter once, though it be seen again meanwhile; those that come in meanwhile are not meant.
    """
    newest = connection.execute(_NEWEST.format(selection.condition), selection.parameters).fetchone()
    after_time, after = None, None
    statement = _IDS.format(selection.condition)
    while True:
        place = {"newest": newest and newest[0], "after": after, "after_time": after_time, "rows": PAGE_ROWS}
        page = connection.execute(statement, selection.parameters | place).fetchall()
        yield from (letter_id for letter_id, _ in page)
        if len(page) < PAGE_ROWS:
            return
        after, after_time = page[-1]


def read_totals(connection: psycopg.Connection[Any], selection: Selection) -> Totals:
    """How many and how large those of *selection* are."""
    row = connection.execute(_TOTALS.format(selection.condition), selection.parameters).fetchone()
    return Totals(*row) if row else Totals()
