"""What connects a process under test with the harness, and stops it at a named point."""

import functools
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.matrix.points import Point

ORPHANED = 3
"""The exit code of a process whose harness is gone."""


class Line:
    """A process's end of the pipe; without the other end the process dies."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.told = {word: threading.Event() for word in ("start", "go", "end")}
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, what: str, content: Any = None) -> None:
        """Tell the harness; what was said before a SIGKILL arrives."""
        with self._sending:
            self._connection.send((what, content))

    def wait_for(self, word: str) -> None:
        """Return once the harness has said *word*."""
        self.told[word].wait()

    def _listen(self) -> None:
        try:
            while True:
                self.told[self._connection.recv()].set()
        except (EOFError, OSError):
            os._exit(ORPHANED)


class Tap:
    """
    Stops one thread, once, where it passes *point* for the given time, until the harness says go.

    Args:
        point: None stops nobody.
    """

    def __init__(self, line: Line, point: Point | None, passes: int) -> None:
        self._line = line
        self._point = point
        self._left = passes
        self._counting = threading.Lock()

    def at(self, point: Point) -> None:
        """The calling thread is at *point*."""
        if self._point is None or point.name != self._point.name:
            return
        with self._counting:
            self._left -= 1
            if self._left != 0:
                return
        self._line.say("reached", point.name)
        self._line.wait_for("go")


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Have *around* called in place of ``owner.name``, with the original as its first argument."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, call)
