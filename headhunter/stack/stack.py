"""The local stack from its first to its last moment."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from headhunter.stack.backing import BackingServers
from headhunter.stack.errors import StackError
from headhunter.stack.flow import FlowMeter
from headhunter.stack.folder import StackFolder
from headhunter.stack.program import Program
from headhunter.stack.progress import Progress
from headhunter.stack.readiness import is_ready, why_not_ready

READY_SECONDS = 120.0
_LOOK_SECONDS = 0.02
_READY_LOOK_SECONDS = 0.1
_LINE_SECONDS = 1.0
STOP_SECONDS = 30.0


class Stack:
    """The programs over the servers: starts, watches and stops them in order."""

    def __init__(
        self,
        folder: StackFolder,
        servers: BackingServers,
        urls: Mapping[str, str],
        extra_environment: Mapping[str, str],
        progress: Progress,
    ) -> None:
        self.urls = dict(urls)
        self._folder = folder
        self._servers = servers
        self._environment = _surroundings() | self.urls | dict(extra_environment)
        self._progress = progress
        self._programs: dict[str, Program] = {}

    def start(self, stop: threading.Event) -> None:
        """
        Start worker, upgrade of the main database and API side by side; return when all is ready, or on *stop*.

        Raises:
            StackError: Something ended, or was not ready in two minutes.
        """
        began = time.monotonic()
        self.launch("worker", restarted=True)
        upgrade = Program(["db", "upgrade", "main"], self._environment, self._folder.fresh_log("upgrade-main"))
        self.launch("api")
        upgraded = ready = False
        try:
            while not (upgraded and ready):
                upgraded = upgraded or upgrade.has_succeeded()
                self.check()
                ready = is_ready(self.urls["API_URL"])
                if stop.wait(_READY_LOOK_SECONDS):
                    return
                if time.monotonic() > began + READY_SECONDS:
                    raise StackError(f"not ready after {READY_SECONDS:.0f} s: {why_not_ready(self.urls['API_URL'])}")
        finally:
            upgrade.stop(STOP_SECONDS)
        self._folder.write_environment(self.urls)

    def watch(self, stop: threading.Event) -> None:
        """
        Tell once a second what flows, until *stop* is set.

        Raises:
            StackError: Something ended.
        """
        meter = FlowMeter(self.urls["REDIS_URL"])
        try:
            while not stop.wait(_LINE_SECONDS):
                self.check()
                self._progress.say(meter.line())
        finally:
            meter.close()

    def check(self) -> None:
        """
        Start again what wants to be, and return if everything runs.

        Raises:
            StackError: Something ended by itself.
        """
        self._servers.check()
        for program in self._programs.values():
            if program.check():
                self._progress.say(f"`headhunter {program.name}` asked to be started again, and was (exit code 75)")

    def launch(self, *arguments: str, restarted: bool = False) -> None:
        """Start one program, known by its first argument."""
        name = arguments[0]
        self._programs[name] = Program(arguments, self._environment, self._folder.fresh_log(name), restarted=restarted)

    def end(self, seconds: float = STOP_SECONDS, *, write_all: bool = False) -> None:
        """
        Stop all programs, each in at most *seconds*, the worker last: it finishes the batch in hand.

        With *write_all* it first gets *seconds* to write all that was sent.
        """
        for name in ("demo", "api"):
            self._end_program(name, seconds)
        if write_all:
            self._wait_for_empty_queue(seconds)
        self._end_program("worker", seconds)

    def _end_program(self, name: str, seconds: float) -> None:
        program = self._programs.pop(name, None)
        if program is not None:
            self._progress.step(f"Stopping {name}")
            trouble = program.stop(seconds)
            if trouble:
                self._progress.say(trouble)

    def _wait_for_empty_queue(self, seconds: float) -> None:
        meter = FlowMeter(self.urls["REDIS_URL"])
        deadline = time.monotonic() + seconds
        self._progress.step("Writing what is left in the queue")
        try:
            while meter.depth() and time.monotonic() < deadline:
                self.check()
                time.sleep(_LOOK_SECONDS)
        finally:
            meter.close()


def _surroundings() -> dict[str, str]:
    """Return our environment; where the logs database is our own, without the URL by which another one is changed."""
    found = dict(os.environ)
    if not found.get("LOGS_DATABASE_URL"):
        found.pop("LOGS_MIGRATION_DATABASE_URL", None)
    return found


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGINT, SIGTERM and a closed terminal set *stop*; a second one ends us, and with us all that we started."""

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
