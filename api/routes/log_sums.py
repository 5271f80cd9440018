"""Sums of the logs over time, of the rollups alone.  Queries: logs_db/queries/sums.py."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from api.log_reader import LogSession
from api.log_router import logs_router
from api.request_reader import Reader
from api.time_window import TimeWindowError, time_window
from logs_db.queries import PageQuery, Window
from logs_db.queries.latencies import PERCENTS, latency_buckets, percentiles_by_model
from logs_db.queries.sums import Key, Step, histogram, provisional_days, spend, whole_steps
from logs_db.rollups import ROLLUP_MINUTE_DAYS

LENGTHS: Final = {Step.MINUTE: timedelta(minutes=1), Step.HOUR: timedelta(hours=1), Step.DAY: timedelta(days=1)}
LONGEST: Final = {Step.MINUTE: timedelta(days=1), Step.HOUR: timedelta(days=31), Step.DAY: timedelta(days=366)}
"""What a histogram of such steps may cover."""

router = logs_router()


class SumParameters(BaseModel):
    """The time of a sum; it is widened to whole steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = Field(None, description="From this time on; 30 days before the end unless given.")
    until: datetime | None = Field(None, description="Before this time; now unless given.")


class HistogramParameters(SumParameters):
    """What is counted by what."""

    since: datetime | None = Field(
        None, description="From this time on; 30 days before the end unless given, 1 day of minutes."
    )
    step: Step = Field(
        Step.DAY, description="How long a bar is, in UTC. Minutes over at most 1 day, hours over 31, days over 366."
    )
    by: Key = Field(Key.LEVEL, description="What rows are told apart by.")


class SpendParameters(SumParameters):
    """Of what time, and whether latencies are told too."""

    percentiles: bool = Field(
        default=False,
        description="With percentiles of latency. They read each sketch of the time, which takes longer than the sums.",
    )


class SumResponse(BaseModel):
    """What all sums have."""

    since: datetime = Field(description="Begin of what was summed, included.")
    until: datetime = Field(description="End of it, excluded.")
    provisional_days: list[datetime] = Field(
        description="UTC days that were not recounted since they were over, today among them: rows of clients of "
        "before the rollups are missing in their sums."
    )


class Bar(BaseModel):
    """Rows of one key in one step."""

    start: datetime
    key: str = Field(
        description="Empty: rows without, for example without an error type. (others): the rows of all keys but the 50 "
        "most frequent of the whole time."
    )
    events: int


class HistogramResponse(SumResponse):
    """Rows of system logs over time; steps without rows are left out."""

    bars: list[Bar]


class SpendLine(BaseModel):
    """What the calls of one model cost on one UTC day."""

    day: datetime
    provider: str
    model: str
    calls: int
    errors: int
    cost_usd: Annotated[Decimal, Field(allow_inf_nan=True)] = Field(description="US dollars, of calls with a price.")
    unpriced_calls: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_prompt_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    latency_ms: int = Field(description="Milliseconds of all calls together, where known.")


class ModelLatency(BaseModel):
    """Within how many milliseconds calls of one model were answered: approximate, 5 % too many at most."""

    provider: str
    model: str
    p50_ms: int
    p95_ms: int
    p99_ms: int


class SpendResponse(SumResponse):
    """What calls of models cost, by UTC day, provider and model."""

    lines: list[SpendLine]
    latencies: list[ModelLatency] | None = Field(
        description="Percentiles over the whole time, of the calls whose latency is known; null unless asked for. They "
        "come from sketches that add up, with buckets 5 % wide: each is the true one or up to 5 % more."
    )


@router.get("/system/histogram")
async def system_histogram(reader: Reader, parameters: Annotated[HistogramParameters, Query()]) -> HistogramResponse:
    """Count system logs over time by level, component or error type, from the rollups."""
    window = _window(parameters, LENGTHS[parameters.step], LONGEST[parameters.step])
    if parameters.step is Step.MINUTE and window.since < datetime.now(UTC) - timedelta(days=ROLLUP_MINUTE_DAYS):
        raise TimeWindowError(f"Sums by minute are kept for {ROLLUP_MINUTE_DAYS} days: ask for hours.")
    query = histogram(window, step=parameters.step, key=parameters.by)
    (rows,), provisional = await _summed(reader, "system_logs", window, query)
    return HistogramResponse(
        # There may be 51 for each minute of a day: other requests need not wait for that.
        bars=await asyncio.to_thread(as_bars, rows),
        provisional_days=provisional,
        since=window.since,
        until=window.until,
    )


@router.get("/llm/spend")
async def llm_spend(reader: Reader, parameters: Annotated[SpendParameters, Query()]) -> SpendResponse:
    """Sum cost, tokens and calls of language models by UTC day, provider and model, from the rollups."""
    window = _window(parameters, LENGTHS[Step.DAY], LONGEST[Step.DAY])
    queries = (spend(window), latency_buckets(window)) if parameters.percentiles else (spend(window),)
    (rows, *buckets), provisional = await _summed(reader, "llm_logs", window, *queries)
    return SpendResponse(
        latencies=_latencies(buckets[0]) if buckets else None,
        lines=[SpendLine.model_validate(row) for row in rows],
        provisional_days=provisional,
        since=window.since,
        until=window.until,
    )


def as_bars(rows: list[dict[str, Any]]) -> list[Bar]:
    """The rows of a histogram, as they are shown."""
    return [Bar.model_validate(row) for row in rows]


def _window(parameters: SumParameters, step: timedelta, longest: timedelta) -> Window:
    default = min(timedelta(days=30), longest)
    window = time_window(parameters.since, parameters.until, datetime.now(UTC), default=default, longest=longest)
    try:
        return whole_steps(window, step)
    except OverflowError:
        raise TimeWindowError("since and until must lie within the years 1 to 9999.") from None


def _latencies(buckets: list[dict[str, Any]]) -> list[ModelLatency]:
    found = percentiles_by_model((row["provider"], row["model"], row["bucket"], row["calls"]) for row in buckets)
    names = [f"p{percent}_ms" for percent in PERCENTS]
    return [
        ModelLatency.model_validate({"provider": provider, "model": model, **dict(zip(names, values, strict=True))})
        for (provider, model), values in found.items()
    ]


async def _summed(
    reader: Reader, table: str, window: Window, *queries: PageQuery
) -> tuple[list[list[dict[str, Any]]], list[datetime]]:
    """The rows of each query and the provisional days of *table*, all read in one session: one freshness for all."""

    async def read(session: LogSession) -> tuple[list[list[dict[str, Any]]], list[datetime]]:
        days = await session.all(provisional_days(table, window))
        return [await session.all(query) for query in queries], [row["day"] for row in days]

    return await reader.run(read)
