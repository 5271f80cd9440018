"""The events of one run, each recognised in any table, frame or dead letter by a key in its text."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import LogEvent

_KEY = re.compile(rb"kill-\d+-\d+")
LLM_EVERY = 5
BAD_EVERY = 11
"""One event in so many has a level that nobody knows, and must end as a dead letter."""


def run_name(number: int) -> str:
    """What marks all events of a run."""
    return f"kill-{number:05d}"


def keys_in(content: bytes) -> list[str]:
    """The keys of the events in a frame, in a pushed text or in a dead letter, each once."""
    return list(dict.fromkeys(key.decode() for key in _KEY.findall(content)))


def events_of(run: str, padding: int) -> Iterator[LogEvent]:
    """The events of *run*, of both kinds, some of them bad; their texts are *padding* characters longer."""
    number = 0
    while True:
        text = f"{run}-{number:06d} {'the candidate ' * (padding // 14)}"
        now = datetime.now(UTC)
        if number % LLM_EVERY == LLM_EVERY - 1:
            yield LlmLogEvent(
                uuid7(), now, provider="p", model=run, operation=None, prompt=text, response="r", prompt_tokens=1,
                completion_tokens=1, total_tokens=2, cost_usd=None, latency_ms=1, status="success",
            )  # fmt: skip
        else:
            level = "LOUD" if number % BAD_EVERY == 1 else "INFO"
            yield SystemLogEvent(uuid7(), now, level=level, component=run, message=text)  # type: ignore[arg-type]  # bad on purpose
        number += 1


def pushed_of(run: str) -> Iterator[bytes]:
    """Events of *run* as a program in any language pushes them: with an id and a time of their own, or without."""
    number = 0
    while True:
        text = f"{run}-{number:06d} pushed"
        if number % LLM_EVERY == LLM_EVERY - 1:
            event: dict[str, object] = {"type": "llm_log", "provider": "p", "model": run, "prompt": text}
            event["status"] = 1 if number % BAD_EVERY == 1 else "success"
        else:
            event = {"type": "system_log", "component": run, "message": text}
            event["level"] = "LOUD" if number % BAD_EVERY == 1 else "INFO"
        if number % 2:
            event |= {"id": str(uuid7()), "created_at": datetime.now(UTC).isoformat()}
        yield json.dumps(event).encode()
        number += 1
