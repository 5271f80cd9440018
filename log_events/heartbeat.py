"""What workers and producers tell Redis about themselves, and health reads."""

from typing import Generic, Literal, TypeVar

import msgspec

WorkerState = Literal[
    "upgrading", "running", "waiting_for_postgres", "refused_by_postgres", "waiting_for_redis", "stopping"
]
T = TypeVar("T")


class WorkerHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's word: who it is, what schema it sees, and when it last got something done."""

    name: str
    """``host:pid:boot``, also the name of its consumer in the group."""
    host: str
    pid: int
    state: WorkerState
    revision: str | None = None
    """Revision of the logs database as the worker last read it."""
    head: str | None = None
    """Revision that the worker's code was made for; None: a release that did not tell."""
    started_at: float
    """Unix seconds, by the worker's clock."""
    last_progress_at: float
    """Unix seconds, by the worker's clock: when its loop last went round, with or without events."""
    last_write_at: float | None = None
    """Unix seconds, by the worker's clock: when it last committed a batch."""
    rows_written: int = 0
    """Since it started."""
    dead_letters: int = 0
    """Since it started."""
    message: str = ""
    """What it waits for, where it waits; never a secret."""
    troubles: dict[str, str] = {}
    """What its maintenance cannot do now, and why: rows are written all the same."""


class ProducerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One producer's word: what it has sent, holds and had to drop, since it started."""

    name: str
    host: str
    pid: int
    service: str | None = None
    accepted_events: int = 0
    buffered_events: int = 0
    buffered_bytes: int = 0
    dropped_events: int = 0
    dropped_by_kind: dict[str, int] = {}
    """By level, and ``llm_log`` for LLM calls."""
    spooled_events: int = 0
    """Those of the accepted ones that went into the spool first."""
    spool_bytes: int = 0
    """What its spool folder holds now, of all processes that share it; 0 without a spool."""


class Seen(msgspec.Struct, Generic[T], frozen=True):
    """A report and its age by the Redis server's clock."""

    report: T
    age_seconds: float
