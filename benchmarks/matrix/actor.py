"""A producer or worker under test as the harness sees it: what it said, and its death."""

import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benchmarks.matrix.producers", "benchmarks.matrix.workers", "logs_db.environment"])
WAIT_SECONDS = 30.0
LOG_CHARACTERS = 2000
_POLL_SECONDS = 0.02


class RunError(Exception):
    """A run did not take the course that its plan says, so it proves nothing."""


class Actor:
    """A process that runs ``target(plan, pipe)``; forked from a server that has imported everything, logs to *log*."""

    def __init__(self, target: Callable[..., None], plan: Any, log: Path) -> None:
        self._log = log
        self._line, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_act, args=(target, plan, theirs, log), daemon=True)
        self._process.start()
        theirs.close()
        self._said: dict[str, Any] = {}
        self.accepted: set[str] = set()
        """The keys of the events that it was promised."""
        self.is_dead = False

    def tell(self, word: str) -> None:
        """Say *word*; a dead one does not hear it."""
        with suppress(OSError):
            self._line.send(word)

    def heard(self, what: str) -> Any:
        """
        Wait until it has said *what*, and return the rest of that.

        Raises:
            RunError: It died, or did not come so far.
        """
        end = time.monotonic() + WAIT_SECONDS
        while what not in self._said:
            if self._listen() or time.monotonic() > end:
                said = f"it said {[*self._said]} and wrote:\n{self._log.read_text()[-LOG_CHARACTERS:]}"
                raise RunError(f"{self._process.name} did not say {what!r} in {WAIT_SECONDS} s, or died; {said}")
        return self._said[what]

    def kill(self) -> None:
        """End it by SIGKILL, and hear what it said before."""
        self.strike()
        self.bury()

    def strike(self) -> None:
        """Send SIGKILL, and return at once."""
        if self._process.pid is not None and not self.is_dead:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, 9)
        self.is_dead = True

    def bury(self) -> None:
        """Hear what a struck one said before, and wait until its process is gone."""
        while not self._listen():
            pass
        self._process.join(WAIT_SECONDS)
        self._line.close()

    def _listen(self) -> bool:
        """Take in what it says within an instant; True where it will say no more."""
        try:
            while self._line.poll(_POLL_SECONDS):
                what, content = self._line.recv()
                if what == "accepted":
                    self.accepted.update(content)
                else:
                    self._said[what] = content
                    return False
        except (EOFError, OSError):
            return True
        return False


def _act(target: Callable[..., None], plan: Any, line: Connection, log: Path) -> None:
    """Become *target*; whatever it writes goes to *log*."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    target(plan, line)
