"""The queue in Redis: admission, the bridge from the list, acknowledgement, depth.  The scripts are in lua/."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis
from redis.commands.core import Script

from log_events.accounts import HourAndKind, QueueAccounts, by_hour, field_of, number_of_hour, start_of_hour
from log_events.heartbeat import ProducerReport, Seen, WorkerHeartbeat
from log_events.keys import GROUP, QueueKeys
from log_events.kinds import KindCounts
from log_events.wire import WIRE_VERSION

SCRIPTS_FOLDER = Path(__file__).parent / "lua"
DEFAULT_MAX_BYTES = 512 * 1024 * 1024
"""What the stream may hold unless LOGS_QUEUE_MAX_BYTES says otherwise, in bytes."""
FORGET_AFTER_MS = 3_600_000
"""A worker or producer that has been silent for so long is no longer listed."""

GONE_AFTER_MS = 600_000
"""A worker that has neither beaten nor asked for so long is gone, and its name leaves the group."""

Report = TypeVar("Report", WorkerHeartbeat, ProducerReport)


class QueueFullError(Exception):
    """The stream or Redis's memory is full: nothing was taken; keep the frame and try again."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An entry whose events are committed."""

    entry_id: bytes
    bytes: int
    counts: KindCounts


@dataclass(frozen=True, slots=True)
class Bridged:
    """What one call carried from the list into the stream."""

    events: int
    left: int


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What waits, both doors together."""

    list_type: str
    """``list`` or ``none``; anything else means that somebody took the key for something else."""
    list_events: int
    stream_entries: int
    stream_events: int
    stream_bytes: int
    in_flight_entries: int
    oldest_age_seconds: float | None
    """Age of the oldest entry of the stream; None where it is empty."""

    @property
    def events(self) -> int:
        """Events not yet written, in the list and in the stream."""
        return self.list_events + self.stream_events


class EventQueue:
    """
    The scripts of one queue over one client.

    Args:
        client: Made with ``decode_responses=False``; its time-outs and retries are the caller's choice.
    """

    def __init__(self, client: redis.Redis, keys: QueueKeys | None = None) -> None:
        self.client = client
        self.keys = keys or QueueKeys()
        self._admit = self._script("admit")
        self._bridge = self._script("bridge")
        self._acknowledge = self._script("acknowledge")
        self._ensure_group = self._script("ensure_group")
        self._depth = self._script("depth")
        self._report = self._script("report")
        self._reports = self._script("reports")
        self._leave = self._script("leave")
        self._reap = self._script("reap")
        self._boundary = self._script("boundary")
        self._gone = self._script("gone")
        self._prune = self._script("prune")

    def _script(self, name: str) -> Script:
        return self.client.register_script((SCRIPTS_FOLDER / f"{name}.lua").read_text())

    def admit(self, frame: bytes, events: int, max_bytes: int = DEFAULT_MAX_BYTES, *, llm_logs: int = 0) -> bytes:
        """
        Put one frame of *events* events, *llm_logs* of them LLM logs, into the stream; return its entry id.

        Raises:
            QueueFullError: Nothing was taken; keep the frame and try again.
            redis.RedisError: Redis is away; whether the frame was taken is unknown.
        """
        counts = KindCounts(events - llm_logs, llm_logs)
        with _full_is_queue_full():
            return bytes(self._call_admit(self.client, frame, counts, WIRE_VERSION, max_bytes))

    def admit_all(self, frames: Iterable[tuple[bytes, KindCounts]], version: bytes, max_bytes: int) -> list[bool]:
        """
        Put frames of *version* into the stream in one round trip; return which were taken: the others found no room.

        Raises:
            redis.RedisError: Redis is away; which of them were taken is unknown.
        """
        with self.client.pipeline(transaction=False) as pipeline:
            for frame, counts in frames:
                self._call_admit(pipeline, frame, counts, version, max_bytes)
            answers = pipeline.execute(raise_on_error=False)
        taken = [not isinstance(answer, Exception) for answer in answers]
        for answer in answers:
            if isinstance(answer, Exception):
                with suppress(QueueFullError), _full_is_queue_full():
                    raise answer
        return taken

    def _call_admit(self, client: redis.Redis, frame: bytes, counts: KindCounts, version: bytes, max_bytes: int) -> Any:
        held = (self.keys.stream, self.keys.events, self.keys.bytes)
        keys = (*held, self.keys.generation, self.keys.accepted, self.keys.waiting)
        others = ("o", counts.others) if counts.others else ()
        args = (max_bytes, version, counts.events, counts.llm_logs, frame, _fresh_generation(), *others)
        return self._admit(keys=keys, args=args, client=client)

    def require_room(self, size_bytes: int, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """
        Ask whether *size_bytes* would be admitted, which is cheaper than to send them in vain.

        Raises:
            QueueFullError: They would not, by *max_bytes*; whether Redis has memory for them only `admit` tells.
        """
        held = int(self.client.get(self.keys.bytes) or 0)
        if held + size_bytes > max_bytes:
            raise QueueFullError(f"the log queue holds {held} bytes")

    def bridge(self, *, max_events: int, max_entry_bytes: int, max_bytes: int = DEFAULT_MAX_BYTES) -> Bridged:
        """
        Carry the oldest events of the list into one entry of the stream, unless the stream is full.

        Raises:
            QueueFullError: Redis is out of memory; the events are still in the list.
            redis.ResponseError: A key holds another type; the message begins with NOTLIST or NOTSTREAM.
        """
        held = (self.keys.list, self.keys.stream, self.keys.events, self.keys.bytes)
        keys = (*held, self.keys.generation, self.keys.accepted, self.keys.waiting)
        with _full_is_queue_full():
            args = (max_events, max_entry_bytes, max_bytes, _fresh_generation())
            carried, left = self._bridge(keys=keys, args=args)
        return Bridged(events=int(carried), left=int(left))

    def acknowledge(self, entries: Iterable[Acknowledgement]) -> int:
        """Acknowledge and delete committed entries; return how many were still there."""
        args: list[Any] = [GROUP]
        for entry in entries:
            counts = entry.counts
            args += (entry.entry_id, entry.bytes, counts.system_logs, counts.llm_logs, counts.others)
        keys = (self.keys.stream, self.keys.events, self.keys.bytes, self.keys.waiting)
        return int(self._acknowledge(keys=keys, args=args))

    def gone(self, entry_ids: Iterable[bytes]) -> set[bytes]:
        """Those of the entries that are pending no more: acknowledged by somebody, or taken away by hand."""
        return set(self._gone(keys=(self.keys.stream,), args=(GROUP, *entry_ids)))

    def ensure_group(self) -> bool:
        """Create stream and group unless they are there; True if they had to be created."""
        return bool(self._ensure_group(keys=(self.keys.stream, f"{self.keys.stream}:scratch"), args=(GROUP,)))

    def leave(self, consumer: str) -> bool:
        """Take *consumer* out of the group; False, and it stays, where entries of its are still pending."""
        return bool(self._leave(keys=(self.keys.stream,), args=(GROUP, consumer)))

    def reap(self, gone_after_ms: int = GONE_AFTER_MS) -> int:
        """Take consumers of workers that are gone out of the group, unless entries are pending for them; how many."""
        return int(self._reap(keys=(self.keys.stream, self.keys.workers), args=(GROUP, gone_after_ms)))

    def depth(self) -> QueueDepth:
        """What the queue holds now, in one round trip."""
        keys = (self.keys.list, self.keys.stream, self.keys.events, self.keys.bytes)
        kind, listed, entries, events, held, in_flight, age_ms = self._depth(keys=keys, args=(GROUP,))
        return QueueDepth(
            list_type=kind.decode(),
            list_events=int(listed),
            stream_entries=int(entries),
            stream_events=int(events),
            stream_bytes=int(held),
            in_flight_entries=int(in_flight),
            oldest_age_seconds=None if int(age_ms) < 0 else int(age_ms) / 1000,
        )

    def boundary(self) -> tuple[str, int, int]:
        """Generation of the stream, and milliseconds and number of the id before which all entries are acknowledged."""
        generation, milliseconds, number = self._boundary(keys=(self.keys.stream, self.keys.generation))
        return (generation or b"").decode(), int(milliseconds), int(number)

    def accounts(self) -> QueueAccounts:
        """What was ever accepted and what still waits, by hour and kind."""
        _, oldest_ms, _ = self.boundary()
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.get(self.keys.generation)
            pipeline.hgetall(self.keys.accepted)
            pipeline.hgetall(self.keys.waiting)
            pipeline.xlen(self.keys.stream)
            pipeline.get(self.keys.pruned)
            generation, accepted, held, entries, pruned = pipeline.execute()
        # What is said to wait in an empty stream, or before its first entry, somebody took out past the scripts.
        oldest = start_of_hour(oldest_ms // 3_600_000)
        waiting = {key: events for key, events in by_hour(held).items() if entries and key[0] >= oldest}
        return QueueAccounts((generation or b"").decode(), by_hour(accepted), waiting, start_of_hour(pruned or 0))

    def prune(self, before: datetime, accounted: Mapping[HourAndKind, int]) -> int:
        """Forget what was accepted in hours before *before*, unless it is no longer as much; return how many were."""
        keys = (self.keys.accepted, self.keys.waiting, self.keys.pruned)
        fields = [argument for key, events in accounted.items() for argument in (field_of(key), events)]
        args = (number_of_hour(before), *fields)
        return int(self._prune(keys=keys, args=args)) if accounted else 0

    def beat(self, heartbeat: WorkerHeartbeat) -> None:
        """Note a worker's heartbeat; works on a full Redis."""
        self._report(keys=(self.keys.workers,), args=_said(heartbeat))

    def report(self, report: ProducerReport) -> None:
        """Note a producer's report; works on a full Redis."""
        self._report(keys=(self.keys.producers,), args=_said(report))

    def forget_worker(self, name: str) -> None:
        """Take a worker that left in good order off the list."""
        self.client.hdel(self.keys.workers, name)

    def forget_producer(self, name: str) -> None:
        """Take a producer that left in good order, with nothing dropped, off the list."""
        self.client.hdel(self.keys.producers, name)

    def heartbeats(self) -> list[Seen[WorkerHeartbeat]]:
        """The last heartbeat of each worker of the last hour."""
        return self._seen(self.keys.workers, WorkerHeartbeat)

    def worker_ages(self) -> dict[str, float]:
        """Seconds since the last heartbeat of each worker of the last hour, whatever its release says in it."""
        return {name.decode(errors="replace"): age for name, age, _ in self._said_of(self.keys.workers)}

    def producer_reports(self) -> list[Seen[ProducerReport]]:
        """The last report of each producer of the last hour."""
        return self._seen(self.keys.producers, ProducerReport)

    def _seen(self, key: str, report_type: type[Report]) -> list[Seen[Report]]:
        said = self._said_of(key)
        return [Seen(report=msgspec.json.decode(text, type=report_type), age_seconds=age) for _, age, text in said]

    def _said_of(self, key: str) -> Iterator[tuple[bytes, float, bytes]]:
        """Name, age in seconds and report of each."""
        now_ms, *pairs = self._reports(keys=(key,))
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            said_ms, _, text = value.partition(b" ")
            yield name, max(0, int(now_ms) - int(said_ms)) / 1000, text


@contextmanager
def _full_is_queue_full() -> Iterator[None]:
    try:
        yield
    except redis.ResponseError as exc:
        if isinstance(exc, redis.exceptions.OutOfMemoryError) or str(exc).startswith(("QFULL", "OOM")):
            raise QueueFullError(str(exc)) from exc
        raise


def _fresh_generation() -> str:
    return secrets.token_hex(8)


def _said(report: WorkerHeartbeat | ProducerReport) -> tuple[str, bytes, int]:
    return report.name, msgspec.json.encode(report), FORGET_AFTER_MS
