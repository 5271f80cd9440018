"""
Sums over time, of the rollups alone: never of rows.

Folded sums and the deltas that are left are what is true.  Of days that were not recounted since they were over, rows
that nothing counted when they were written (by clients of before the rollups) are missing; `provisional_days` has them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, LiteralString

from psycopg import sql

from logs_db.queries.statement import PageQuery, Window
from logs_db.rollups import LLM_LOGS

if TYPE_CHECKING:
    from datetime import timedelta


class Step(StrEnum):
    """How long one bar of a histogram is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Key(StrEnum):
    """What system logs are told apart by."""

    LEVEL = "level"
    COMPONENT = "component"
    ERROR_TYPE = "error_type"


KEYS: Final = 50
"""Keys of a histogram; the rows of all rarer ones are in one more."""
OTHERS: Final = "(others)"

# Summed by the table's own unit first: fewer times are rounded, fewer groups kept, and the rows are read but once.
_HISTOGRAM: LiteralString = """
WITH parts AS MATERIALIZED (
    SELECT {unit} AS start, {key} AS key, sum(events)::bigint AS events FROM {folded}
    WHERE {unit} >= %(since)s AND {unit} < %(until)s GROUP BY 1, 2
    UNION ALL
    SELECT date_trunc({unit_name}, minute, 'UTC'), {key}, sum(events)::bigint FROM public.system_log_deltas
    WHERE minute >= %(since)s AND minute < %(until)s GROUP BY 1, 2
), frequent AS (SELECT key FROM parts GROUP BY key ORDER BY sum(events) DESC, key LIMIT %(keys)s)
SELECT date_trunc({step}, start, 'UTC') AS start, coalesce(frequent.key, %(others)s) AS key,
       sum(events)::bigint AS events
FROM parts LEFT JOIN frequent USING (key) GROUP BY 1, 2 ORDER BY 1, 2
"""
# The cost is no whole number.
_SUMS: Final = [name for name in LLM_LOGS.sums if name != "cost_usd"]
# In bins, not by date_trunc, which looks the zone up for every row.
_SPEND: LiteralString = """
SELECT day, provider, model, sum(cost_usd) AS cost_usd, {totals} FROM (
    SELECT date_bin('1 day', hour, 'epoch') AS day, provider, model, sum(cost_usd) AS cost_usd, {sums}
    FROM public.llm_log_hours WHERE hour >= %(since)s AND hour < %(until)s GROUP BY 1, 2, 3
    UNION ALL
    SELECT date_bin('1 day', minute, 'epoch'), provider, model, sum(cost_usd), {sums}
    FROM public.llm_log_deltas WHERE minute >= %(since)s AND minute < %(until)s GROUP BY 1, 2, 3) AS parts
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_PROVISIONAL: LiteralString = """
SELECT day FROM generate_series(date_trunc('day', %(since)s::timestamptz, 'UTC'),
                                %(until)s::timestamptz - interval '1 microsecond', interval '1 day') AS day
WHERE day NOT IN (SELECT day FROM public.rollup_days WHERE table_name = %(table_name)s) ORDER BY day
"""


def histogram(window: Window, *, step: Step, key: Key) -> PageQuery:
    """
    Rows of ``system_logs`` by time and *key*: `start`, `key`, `events`; *window* is whole steps.

    The `KEYS` most frequent keys, of which an empty one means none; what all others have is that of the key `OTHERS`.
    """
    unit = "minute" if step is Step.MINUTE else "hour"
    statement = sql.SQL(_HISTOGRAM).format(
        step=sql.Literal(step.value),
        unit=sql.Identifier(unit),
        unit_name=sql.Literal(unit),
        key=sql.Identifier(key.value),
        folded=sql.Identifier("public", f"system_log_{unit}s"),
    )
    return PageQuery(statement, _bounds(window) | {"keys": KEYS, "others": OTHERS})


def spend(window: Window) -> PageQuery:
    """Calls of models, what they cost in US dollars and their tokens, by UTC day, provider and model."""
    statement = sql.SQL(_SPEND).format(
        sums=_summed("sum({name})::bigint AS {name}"), totals=_summed("sum({name})::bigint AS {name}")
    )
    return PageQuery(statement, _bounds(window))


def provisional_days(table: str, window: Window) -> PageQuery:
    """The days of *window* that were not recounted since they were over, a row each: `day`."""
    return PageQuery(sql.Composed([sql.SQL(_PROVISIONAL)]), _bounds(window) | {"table_name": table})


def whole_steps(window: Window, length: timedelta) -> Window:
    """*window* widened to whole steps of *length*, which divides a day."""
    midnight = window.since.replace(hour=0, minute=0, second=0, microsecond=0)
    since = window.since - (window.since - midnight) % length
    return Window(since, window.until + (since - window.until) % length)


def _summed(form: LiteralString) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(form).format(name=sql.Identifier(name)) for name in _SUMS)


def _bounds(window: Window) -> dict[str, object]:
    return {"since": window.since, "until": window.until}
