"""A page as the legacy API made it: LIMIT with OFFSET, and count(*) of all that matches, for the number of pages."""

import time

import psycopg
from psycopg import sql

from logs_db.queries import LogFilter, Window

_PAGE = sql.SQL("SELECT * FROM public.system_logs WHERE {} ORDER BY created_at DESC LIMIT 50 OFFSET %(offset)s")
_COUNT = sql.SQL("SELECT count(*) FROM public.system_logs WHERE {}")
_WINDOW = sql.SQL("created_at >= %(since)s AND created_at < %(until)s")


def legacy_page_ms(url: str, filters: LogFilter, window: Window, *, offset: int) -> float:
    """Milliseconds of such a page."""
    conditions = filters.conditions
    where = sql.SQL(" AND ").join([_WINDOW, *conditions.parts])
    parameters = conditions.parameters | {"since": window.since, "until": window.until, "offset": offset}
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        connection.execute(_PAGE.format(where), parameters).fetchall()
        connection.execute(_COUNT.format(where), parameters).fetchone()
        return (time.perf_counter() - began) * 1000
