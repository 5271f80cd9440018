"""Which revision is being run, and whether it may be run again after it failed."""

import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Progress:
    """
    Where a run of revisions is; after a failure, what was being run.

    Args:
        revision: The one that is being run, None before the first.
        outside_transaction: It entered an autocommit block, so a failure may have left part of it done.
        idempotent: It says of itself `idempotent = True`: running it again after a failure is safe.
    """

    revision: str | None = None
    outside_transaction: bool = False
    idempotent: bool = False
    _began: float = 0.0

    @property
    def is_repeatable(self) -> bool:
        """Whether the revision may be run again after it failed."""
        return self.idempotent or not self.outside_transaction

    def begin(self, step: Any) -> None:
        """Note that *step* is being run from here on."""
        script = getattr(step, "revision", None)
        self.revision = getattr(script, "revision", None)
        self.idempotent = bool(getattr(getattr(script, "module", None), "idempotent", False))
        self.outside_transaction = False
        self._began = time.monotonic()

    @property
    def duration_ms(self) -> int:
        """How long the revision has been running."""
        return round((time.monotonic() - self._began) * 1000)

    def leave_transaction(self) -> None:
        """Note that the revision works outside its transaction from here on."""
        self.outside_transaction = True
