"""How long calls of models took, from the sketches of the rollups alone: percentiles over any hours, off by 5 %."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, LiteralString

from psycopg import sql

from logs_db.latency_sketch import percentile_ms
from logs_db.queries.statement import PageQuery, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

PERCENTS: Final = (50, 95, 99)

_BUCKETS: LiteralString = """
SELECT provider, model, bucket, sum(calls)::bigint AS calls FROM (
    SELECT provider, model, bucket, calls FROM public.llm_latency_hours
    WHERE hour >= %(since)s AND hour < %(until)s
    UNION ALL
    SELECT provider, model, bucket, calls FROM public.llm_latency_deltas
    WHERE minute >= %(since)s AND minute < %(until)s) AS parts
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def latency_buckets(window: Window) -> PageQuery:
    """Calls of known latency by provider, model and bucket of the sketch; *window* is whole hours."""
    return PageQuery(sql.Composed([sql.SQL(_BUCKETS)]), {"since": window.since, "until": window.until})


def percentiles_by_model(rows: Iterable[tuple[str, str, int, int]]) -> dict[tuple[str, str], list[int | None]]:
    """The `PERCENTS` of each provider and model in milliseconds, of what `latency_buckets` found."""
    sketches: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for provider, model, bucket, calls in rows:
        sketches[provider, model][bucket] = calls
    return {key: [percentile_ms(sketch, percent) for percent in PERCENTS] for key, sketch in sketches.items()}
