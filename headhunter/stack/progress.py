"""What `headhunter up` shows: steps while it starts, then a line a second."""

import os
import sys
import time
from contextlib import suppress
from typing import Protocol

from headhunter.redaction import without_passwords


class Progress(Protocol):
    """Somewhere to tell how far the stack is."""

    def step(self, text: str) -> None:
        """Begin to do *text*."""

    def say(self, text: str) -> None:
        """Tell *text*; nothing is under way any more."""


class PlainProgress:
    """One line a step, for pipes and log files."""

    def step(self, text: str) -> None:
        """Write the step and when it began."""
        self.say(f"{time.strftime('%H:%M:%S')} {text} ...")

    def say(self, text: str) -> None:
        """Write the line; who reads may have left, the stack goes on."""
        with suppress(OSError):
            print(without_passwords(text), flush=True)


class TerminalProgress:
    """A spinner with the current step, above it the steps that are done and their seconds."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  (slow to import, and for terminals only)

        self._console = Console(highlight=False)
        self._status = self._console.status("")
        self._began: tuple[str, float] | None = None

    def step(self, text: str) -> None:
        """Tick the step before off and turn the spinner to this one."""
        with suppress(OSError):
            self._finish()
            self._began = text, time.monotonic()
            self._status.update(text)
            self._status.start()

    def say(self, text: str) -> None:
        """Tick the last step off and write the line; the terminal may be gone, the stack ends in order all the same."""
        with suppress(OSError):
            self._finish()
            self._console.print(without_passwords(text), markup=False, soft_wrap=True)

    def _finish(self) -> None:
        if self._began is not None:
            text, began = self._began
            self._status.stop()
            self._console.print(f"[green]✓[/] {text} [dim]{time.monotonic() - began:.1f} s[/]")
            self._began = None


def progress() -> Progress:
    """Return what suits standard output."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return TerminalProgress()
    return PlainProgress()
