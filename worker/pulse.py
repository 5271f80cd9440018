"""What the worker tells of itself, and when it last got something done."""

import threading
import time
from dataclasses import dataclass, field

from log_events.heartbeat import WorkerHeartbeat, WorkerState
from worker.patience import Patience
from worker.store import Written


@dataclass(slots=True)
class Pulse:
    """
    The worker's own account, kept by its lanes and sent by its heart.

    Args:
        name: The worker's name, unlike that of any other.
        host: This machine's name.
        pid: Of this process.
    """

    name: str
    host: str
    pid: int
    state: WorkerState = "upgrading"
    revision: str | None = None
    head: str | None = None
    patiences: list[Patience] = field(default_factory=list)
    """All that its threads may be waiting for."""
    troubles: dict[str, str] = field(default_factory=dict)
    """What its jobs beside the lanes cannot do now, and why."""
    started_at: float = field(default_factory=time.time)
    _progress_at: dict[str, float] = field(default_factory=dict)
    _last_write_at: float | None = None
    _written: Written = field(default_factory=Written)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def progressed(self, lane: str) -> None:
        """Note that *lane*'s loop went round."""
        self._progress_at[lane] = time.time()

    def wrote(self, written: Written) -> None:
        """Note a committed batch."""
        with self._guard:
            self._written += written
            self._last_write_at = time.time()

    @property
    def written(self) -> Written:
        """What all lanes wrote since the worker started."""
        return self._written

    def heartbeat(self) -> WorkerHeartbeat:
        """What there is to tell now; the slowest lane's progress counts."""
        waiting = next((patience for patience in self.patiences if patience.waiting_for is not None), None)
        with self._guard:
            return WorkerHeartbeat(
                name=self.name,
                host=self.host,
                pid=self.pid,
                state=waiting.state if waiting else self.state,
                revision=self.revision,
                head=self.head,
                started_at=self.started_at,
                last_progress_at=min(self._progress_at.values(), default=self.started_at),
                last_write_at=self._last_write_at,
                rows_written=self._written.rows,
                dead_letters=self._written.dead_letters,
                message=(waiting.waiting_for or "") if waiting else "",
                troubles=dict(self.troubles),
            )
