"""A recorded hour of LLM calls, played again as if it were now."""

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from uuid import UUID

from log_events.llm_log import LlmLogEvent
from log_events.producer import Producer
from log_events.uuid7 import uuid7

#: Source: Azure LLM inference trace 2023, repository Azure/AzurePublicDataset, CC-BY-4.0; see the README beside it.
TRACE_PATH = Path(__file__).parent / "demo_data" / "AzureLLMInferenceTrace_code.csv"
_PAUSE_BEFORE_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class RecordedCall:
    """One call of the trace."""

    seconds: float
    """Since the first one."""
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Sent:
    """An event on its way, as whoever looks for its row needs it."""

    id: UUID
    created_at: datetime
    emitted: float
    """`time.monotonic` just before it was handed over."""


def recorded_calls(path: Path = TRACE_PATH) -> list[RecordedCall]:
    """Return the calls of the trace in their order."""
    with path.open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    times = [datetime.fromisoformat(row["TIMESTAMP"]) for row in rows]
    return [
        RecordedCall((moment - times[0]).total_seconds(), int(row["ContextTokens"]), int(row["GeneratedTokens"]))
        for moment, row in zip(times, rows, strict=True)
    ]


def replay(producer: Producer, calls: list[RecordedCall], speed: float, stop: Event) -> Iterator[Sent]:
    """
    Send *calls* at their recorded pace times *speed*, over and over until *stop* is set; yield what was buffered.

    Times are shifted so that the first call happens now.
    """
    began, began_at = time.monotonic(), datetime.now(UTC)
    shift = 0.0
    while True:
        for call in calls:
            seconds = (shift + call.seconds) / speed
            if stop.wait(max(0.0, began + seconds - time.monotonic())):
                return
            created_at = began_at + timedelta(seconds=seconds)
            sent = Sent(uuid7(int(created_at.timestamp() * 1000)), created_at, time.monotonic())
            if producer.emit(_event(call, sent)):
                yield sent
        shift += calls[-1].seconds + _PAUSE_BEFORE_AGAIN_SECONDS


def _event(call: RecordedCall, sent: Sent) -> LlmLogEvent:
    # The trace tells times and token counts only; nothing is made up for the rest.
    return LlmLogEvent(
        id=sent.id,
        created_at=sent.created_at,
        provider="azure",
        model="AzureLLMInferenceTrace_code",
        operation="code",
        prompt=None,
        response=None,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        total_tokens=call.prompt_tokens + call.completion_tokens,
        cost_usd=None,
        latency_ms=None,
        status="success",
        service="demo",
    )
