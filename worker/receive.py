"""Receiving entries from the stream: new ones, and those that a dead peer left pending."""

import os
import time
from collections.abc import Iterable
from typing import Any

import redis

from log_events.event_queue import EventQueue
from log_events.keys import GROUP
from worker.entry import Entry

BLOCK_MS = 500
"""How long one read waits for entries; a stop is noticed within this time."""

TARGET_BYTES = 4 * 1024 * 1024
"""How many payload bytes one read asks for, judged by the size of the entries before."""

FIRST_COUNT = 4
MOST_COUNT = 128
CLAIM_COUNT = 32

SILENT_SECONDS = 15.0
"""A worker whose heartbeat is older than this is taken for dead, and what it left pending is taken over."""

MISSED_BEAT_SECONDS = 3.0
"""Only a worker that has missed some beats, one each second, is looked for by its process id: another container may
have the same host name and process ids of its own."""

LONGEST_BATCH_SECONDS = 300.0
"""What has been pending for longer is taken over even from a worker that still beats."""

SHORTEST_IDLE_SECONDS = 1.0
"""So long after a claim nobody else claims the same, so that two workers do not write a dead peer's entries twice."""

ALONE_AFTER_DELIVERIES = 3
"""An entry delivered more often is written alone, so that no other suffers with it."""


class Receiver:
    """
    One consumer of the group.

    Args:
        queue: Over a connection whose read time-out is longer than BLOCK_MS.
        consumer: ``worker name/lane``, unlike that of any other consumer ever.
        host: This machine's name as heartbeats carry it.
    """

    def __init__(self, queue: EventQueue, consumer: str, host: str) -> None:
        self._queue = queue
        self._consumer = consumer
        self._host = host
        self._count = FIRST_COUNT
        self._is_answer_lost = False
        """What Redis gave with an answer that never came is pending for this consumer, and in nobody's hands."""

    def receive(self, *, block: bool = True) -> list[Entry]:
        """
        New entries, at most so many as promise TARGET_BYTES; none after BLOCK_MS without any.

        After an error first those that this consumer was given and never saw.  Call it with none of its entries in
        hand.

        Raises:
            redis.RedisError: Redis is away, or the group is gone (NOGROUP).
        """
        if self._is_answer_lost and (unseen := self._take(self._consumer, idle_ms=0)):
            return unseen[0]
        self._is_answer_lost = True
        streams: Any = {self._queue.keys.stream: ">"}
        answer: Any = self._queue.client.xreadgroup(
            GROUP, self._consumer, streams, count=self._count, block=BLOCK_MS if block else None
        )
        self._is_answer_lost = False
        entries = [Entry(entry_id, fields) for _, messages in answer or () for entry_id, fields in messages]
        self._adapt(entries)
        return entries

    def claim(self) -> list[list[Entry]]:
        """
        Some entries that a dead worker left pending, in groups that are to be written each; ask until none come.

        Raises:
            redis.RedisError: Redis is away, or the group is gone; what it gave nevertheless `receive` will find.
        """
        was_lost, self._is_answer_lost = self._is_answer_lost, True
        taken = (self._take(name, idle_ms) for name, idle_ms in self._owners())
        # One owner's at a time: many dead peers left more than fits into memory.
        groups = next(filter(None, taken), [])
        self._is_answer_lost = was_lost
        return groups

    def _take(self, consumer: str, idle_ms: int) -> list[list[Entry]]:
        """Claim what has been pending for *consumer* for so long; what was delivered too often is a group alone."""
        together: list[bytes] = []
        alone: list[bytes] = []
        for pending in self._pending_of(consumer, idle_ms):
            is_suspect = pending["times_delivered"] > ALONE_AFTER_DELIVERIES
            (alone if is_suspect else together).append(pending["message_id"])
        groups = [self._claim(ids, idle_ms) for ids in (together, *([entry_id] for entry_id in alone)) if ids]
        return [group for group in groups if group]

    def _adapt(self, entries: list[Entry]) -> None:
        if entries:
            largest = max(entry.payload_bytes for entry in entries)
            self._count = min(max(TARGET_BYTES // max(largest, 1), 1), MOST_COUNT, self._count * 2)

    def _owners(self) -> Iterable[tuple[str, int]]:
        """The consumers that have something pending, and after how many idle milliseconds it is theirs no more."""
        ages = self._queue.worker_ages()
        consumers: Any = self._queue.client.xinfo_consumers(self._queue.keys.stream, GROUP)
        for consumer in consumers:
            name = consumer["name"].decode()
            if consumer["pending"] and name != self._consumer:
                worker = name.rpartition("/")[0]
                is_alive = self._is_alive(worker, ages.get(worker, SILENT_SECONDS))
                yield name, int(1000 * (LONGEST_BATCH_SECONDS if is_alive else SHORTEST_IDLE_SECONDS))

    def _is_alive(self, worker: str, age_seconds: float) -> bool:
        """Whether *worker*, whose last heartbeat is so old, may still be at work."""
        if age_seconds < MISSED_BEAT_SECONDS:
            return True
        return age_seconds < SILENT_SECONDS and not self._is_dead_neighbour(worker)

    def _is_dead_neighbour(self, worker: str) -> bool:
        """Whether *worker* ran on this host under a process id that is now nobody's, or this process's own."""
        host, pid, _ = worker.rsplit(":", 2)
        if host != self._host or self._consumer.startswith(f"{worker}/"):
            return False
        return int(pid) == os.getpid() or not _process_exists(int(pid))

    def _pending_of(self, consumer: str, idle_ms: int) -> list[dict[str, Any]]:
        pending: Any = self._queue.client.xpending_range(
            self._queue.keys.stream, GROUP, "-", "+", min(CLAIM_COUNT, self._count), consumer, idle=idle_ms
        )
        return list(pending)

    def _claim(self, ids: list[bytes], idle_ms: int) -> list[Entry]:
        wanted: Any = ids
        claimed: Any = self._queue.client.xclaim(self._queue.keys.stream, GROUP, self._consumer, idle_ms, wanted)
        entries = [Entry(entry_id, fields, is_redelivered=True) for entry_id, fields in claimed if fields]
        self._adapt(entries)
        return entries


def worker_name(host: str) -> str:
    """``host:pid:boot``, unlike the name of any other worker ever."""
    return f"{host.replace(':', '_').replace('/', '_')}:{os.getpid()}:{time.time_ns():x}"


def is_no_group(error: redis.RedisError) -> bool:
    """Whether the group or the whole stream is gone, as after FLUSHALL or a failover: it has to be made again."""
    # The last is said to whoever waited for entries while the stream was deleted. Seen on Redis 7.0.15.
    return isinstance(error, redis.ResponseError) and str(error).startswith(("NOGROUP", "no such key", "UNBLOCKED"))


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
