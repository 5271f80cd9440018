"""Which revision is being run, for how long, and whether it may be run again after it failed."""

import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Progress:
    """
    Where a run of revisions is; after a failure, what was being run.

    Args:
        revision: The one that is being run, None before the first.
        direction: What is being done to it: `upgrade`, `downgrade` or `stamp`.
        from_revision: What the version table holds meanwhile; None: no revision.
        to_revision: What it will hold.
        attempts: How often it was begun, this time included.
        outside_transaction: It entered an autocommit block, so a failure may have left part of it done.
        idempotent: It says of itself `idempotent = True`: running it again after a failure is safe.
        lock_waited_seconds: How long this run waited for the migration lock, until a revision is charged with it.
    """

    revision: str | None = None
    direction: str = "upgrade"
    from_revision: str | None = None
    to_revision: str | None = None
    attempts: int = 0
    outside_transaction: bool = False
    idempotent: bool = False
    lock_waited_seconds: float = 0.0
    _began: float = 0.0
    _first_began: float = 0.0

    @property
    def is_repeatable(self) -> bool:
        """Whether the revision may be run again after it failed."""
        return self.idempotent or not self.outside_transaction

    def begin(self, step: Any) -> None:
        """Note that *step* is being run from here on."""
        info = step.info
        self._began = time.monotonic()
        moved = (_names(info.source_revision_ids), _names(info.destination_revision_ids))
        if self.attempts and moved == (self.from_revision, self.to_revision):
            self.attempts += 1
        else:
            self.attempts, self._first_began = 1, self._began
        self.from_revision, self.to_revision = moved
        self.direction = "stamp" if info.is_stamp else "upgrade" if info.is_upgrade else "downgrade"
        script = getattr(step, "revision", None)
        self.revision = getattr(script, "revision", None)
        self.idempotent = bool(getattr(getattr(script, "module", None), "idempotent", False))
        self.outside_transaction = False

    def applied(self) -> None:
        """Note that the revision is done: what was waited for it is told, the next one counts from one."""
        self.attempts, self.lock_waited_seconds = 0, 0.0

    @property
    def duration_ms(self) -> int:
        """How long the revision has been running, in this attempt."""
        return round((time.monotonic() - self._began) * 1000)

    @property
    def lock_wait_ms(self) -> int:
        """How long it waited for locks: for the migration lock, and in attempts given up with the pauses after them."""
        return round((self.lock_waited_seconds + self._began - self._first_began) * 1000)

    def leave_transaction(self) -> None:
        """Note that the revision works outside its transaction from here on."""
        self.outside_transaction = True


def _names(revisions: tuple[str, ...]) -> str | None:
    return ",".join(revisions) or None
