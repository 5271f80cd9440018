"""What was dropped since it was last told, and the event that tells it."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from log_events.extra_data import extra_json
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7

COMPONENT = "log_events"


@dataclass(slots=True)
class DroppedEvents:
    """Counts of drops that no event has told yet."""

    by_kind: Counter[str] = field(default_factory=Counter)
    """By level, and ``llm_log`` for LLM calls."""
    by_reason: Counter[str] = field(default_factory=Counter)
    first_at: float = 0.0
    """Unix seconds."""
    last_at: float = 0.0

    def add(self, kind: str, reason: str, count: int = 1) -> None:
        """Count *count* events of *kind* as dropped now, for *reason*."""
        self.last_at = time.time()
        self.first_at = self.first_at or self.last_at
        self.by_kind[kind] += count
        self.by_reason[reason] += count

    def event(self, service: str | None, host: str) -> SystemLogEvent:
        """The event that tells them."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.by_kind.items()))
        reasons = "; ".join(reason for reason, _ in self.by_reason.most_common())
        details: dict[str, object] = {
            "event": "events_dropped",
            "dropped": dict(sorted(self.by_kind.items())),
            "reasons": dict(self.by_reason.most_common()),
            "from": datetime.fromtimestamp(self.first_at, UTC).isoformat(),
            "to": datetime.fromtimestamp(self.last_at, UTC).isoformat(),
        }
        message = f"{self.by_kind.total()} log events were dropped ({kinds}): {reasons}"
        return _own_event(message, details, service, host)


def spool_cut_event(cut_bytes: int, service: str | None, host: str) -> SystemLogEvent:
    """The event that tells that *cut_bytes* of a spool were no whole frame and are left out."""
    message = (
        f"{cut_bytes} bytes of the log spool were damaged and are left out; whole frames around them are delivered"
    )
    return _own_event(message, {"event": "spool_cut", "cut_bytes": cut_bytes}, service, host)


def _own_event(message: str, details: dict[str, object], service: str | None, host: str) -> SystemLogEvent:
    return SystemLogEvent(
        id=uuid7(),
        created_at=datetime.now(UTC),
        level="WARNING",
        component=COMPONENT,
        message=message,
        extra_data=extra_json(details),
        service=service,
        host=host,
    )
