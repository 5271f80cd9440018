"""What flows through the stack, in one line."""

import time

import redis

from log_events.event_queue import EventQueue
from log_events.redis_client import redis_client

_IDLE_SECONDS = 3.0


class FlowMeter:
    """Reads queue depth and workers' heartbeats; a worker that is started again begins a count of its own."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis_client(redis_url, connect_timeout_seconds=0.5, answer_timeout_seconds=0.5)
        self._queue = EventQueue(self._client)
        self._written: dict[str, tuple[int, int]] = {}
        self._last = (0, time.monotonic())
        self._rows_a_second = 0.0

    def line(self) -> str:
        """Return one line: events written since the start and a second, dead letters, queue depth and lag."""
        try:
            depth = self._queue.depth()
            for seen in self._queue.heartbeats():
                self._written[seen.report.name] = seen.report.rows_written, seen.report.dead_letters
        except redis.RedisError as error:
            return f"{time.strftime('%H:%M:%S')}  Redis does not answer: {type(error).__name__}"
        rows, letters = (
            (sum(counts) for counts in zip(*self._written.values(), strict=True)) if self._written else (0, 0)
        )
        self._update_rate(rows)
        lag = depth.oldest_age_seconds or 0.0
        return (
            f"{time.strftime('%H:%M:%S')}  written {rows:,} ({self._rows_a_second:,.0f}/s)  dead letters {letters:,}  "
            f"queue {depth.events:,}  lag {lag:.1f} s"
        )

    def depth(self) -> int | None:
        """Return the events that wait in the queue, or None where Redis does not answer."""
        try:
            return self._queue.depth().events
        except redis.RedisError:
            return None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _update_rate(self, rows: int) -> None:
        # Heartbeats come every other second: the rate is that between the last two that told something new.
        before, then = self._last
        now = time.monotonic()
        if rows != before:
            self._rows_a_second = max(0, rows - before) / max(now - then, 0.001)
            self._last = rows, now
        elif now - then > _IDLE_SECONDS:
            self._rows_a_second = 0.0
            self._last = rows, now
