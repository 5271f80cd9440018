"""What the rows of a batch add to the rollups, counted while the batch is made."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from operator import attrgetter
from typing import Any

import psycopg

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.wire import LogEvent
from logs_db import rollups
from logs_db.latency_sketch import bucket_of

Delta = tuple[Any, ...]
"""A minute, a key, and what is added to the sums there."""

_EXACT = Context(prec=200_000)
"""Keeps every digit of a sum, as PostgreSQL does; sums of costs of one batch have a few dozen."""

_SUMMED = [name for name in rollups.LLM_LOGS.sums if name in LlmLogEvent.__struct_fields__ and name != "cost_usd"]
_LINE_KEY = attrgetter("level", "component", "error_type")
_CALL_KEY = attrgetter("provider", "model", "operation", "status")


class RollupCounts:
    """Counts events that become rows, each once; `append` writes the deltas."""

    def __init__(self) -> None:
        self._lines: defaultdict[datetime, Counter[Delta]] = defaultdict(Counter)
        self._calls: list[LlmLogEvent] = []

    def add(self, event: LogEvent) -> None:
        """Count one event."""
        if isinstance(event, SystemLogEvent):
            self._lines[_minute(event.created_at)][_LINE_KEY(event)] += 1
        else:
            self._calls.append(event)

    def add_frame(
        self, lines: Sequence[SystemLogEvent], calls: Iterable[LlmLogEvent], times: tuple[datetime, datetime]
    ) -> None:
        """Count many events, whose earliest and latest *times* are these: mostly they are of one minute."""
        self._calls += calls
        minute = _minute(times[0])
        if minute == _minute(times[1]):
            # Written out, not _LINE_KEY: on the way of every event it takes half the time.
            self._lines[minute].update([(line.level, line.component, line.error_type) for line in lines])
        else:
            for line in lines:
                self.add(line)

    def append(self, cursor: psycopg.Cursor[Any]) -> None:
        """Write what was counted, in the transaction of *cursor*, which writes the rows."""
        rollups.append(cursor, rollups.SYSTEM_LOGS, self._line_deltas())
        calls: defaultdict[Delta, list[LlmLogEvent]] = defaultdict(list)
        for call in self._calls:
            calls[_minute(call.created_at), *_texts(_CALL_KEY(call))].append(call)
        rollups.append(cursor, rollups.LLM_LOGS, ((*key, *_sums(group)) for key, group in calls.items()))
        rollups.append(cursor, rollups.LLM_LATENCIES, _latency_deltas(calls))

    def _line_deltas(self) -> Iterator[Delta]:
        for minute, counts in self._lines.items():
            for key, events in counts.items():
                yield minute, *_texts(key), events


def _latency_deltas(calls: dict[Delta, list[LlmLogEvent]]) -> Iterator[Delta]:
    for key, group in calls.items():
        buckets = Counter(bucket_of(call.latency_ms) for call in group if call.latency_ms is not None)
        for bucket, number in buckets.items():
            yield *key, bucket, number


def _sums(calls: Sequence[LlmLogEvent]) -> Iterator[int | Decimal]:
    """The sums of *calls*, in the order of the columns."""
    costs = [call.cost_usd for call in calls if call.cost_usd is not None and call.cost_usd.is_finite()]
    with localcontext(_EXACT):
        cost = sum(costs, Decimal(0))
    known: dict[str, int | Decimal] = {
        "calls": len(calls),
        "errors": sum(call.error_type is not None for call in calls),
        "cost_usd": cost,
        "unpriced_calls": len(calls) - len(costs),
    }
    known |= {name: sum(filter(None, map(attrgetter(name), calls))) for name in _SUMMED}
    return map(known.__getitem__, rollups.LLM_LOGS.sums)


def _texts(key: Iterable[str | None]) -> Iterator[str]:
    """*key* as the rollups have it: the empty text stands for none."""
    return (text or "" for text in key)


def _minute(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(second=0, microsecond=0)
