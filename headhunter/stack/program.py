"""One of our own processes under the stack."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from headhunter.faults import TEMPORARY
from headhunter.stack.errors import StackError
from servers.child import start_child, stop_child
from servers.leftovers import log_since


class Program:
    """
    `headhunter ARGUMENTS` as a process of its own, which dies with us.

    One that is *restarted* is started again when it ends with exit code 75: temporary, try again.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], log_path: Path, *, restarted: bool = False
    ) -> None:
        self.name = " ".join(arguments)
        self.log_path = log_path
        # -P: a folder called `worker` where the user happens to stand must not be taken for ours.
        self._command = [sys.executable, "-P", "-m", "headhunter", *arguments]
        self._environment = environment
        self._restarted = restarted
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return start_child(self._command, log_path=self.log_path, environment=self._environment)

    def check(self) -> bool:
        """
        Start it again if it asked for that; tell whether it did.

        Raises:
            StackError: It has ended by itself.
        """
        exit_code = self._process.poll()
        if exit_code is None:
            return False
        if self._restarted and exit_code == TEMPORARY:
            self._process = self._start()
            return True
        raise self._ended(exit_code)

    def has_succeeded(self) -> bool:
        """
        Tell whether it has done its work and ended.

        Raises:
            StackError: It failed.
        """
        exit_code = self._process.poll()
        if exit_code:
            raise self._ended(exit_code)
        return exit_code == 0

    def stop(self, seconds: float) -> str | None:
        """Ask it to end in good order, end it after *seconds*; return what was wrong with that, if anything was."""
        if self._process.poll() is not None:
            return None
        exit_code = stop_child(self._process, signal.SIGTERM, seconds_each=seconds)
        return None if exit_code in (0, -signal.SIGTERM) else str(self._ended(exit_code))

    def _ended(self, exit_code: int) -> StackError:
        how = f"with exit code {exit_code}" if exit_code >= 0 else f"by signal {-exit_code}"
        message = f"`headhunter {self.name}` ended {how}; the last of {self.log_path}:\n{log_since(self.log_path, 0)}"
        return StackError(message, exit_code if exit_code > 0 else TEMPORARY)
