"""What a killed predecessor leaves behind: a server that is still ending, and its log."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from servers.errors import ServerStartError

_ENDING_SECONDS = 10.0
_POLL_SECONDS = 0.02
_LOG_BYTES = 4000


def stop_leftover(pid_path: Path, marker: str, *signals: signal.Signals) -> None:
    """
    End the server that *pid_path* names if it still runs, so that its data can be opened again.

    *marker* is text in that server's command line: a stranger that got its process id is left alone.  *signals* are
    sent in turn, SIGKILL last.

    Raises:
        ServerStartError: It did not end.
    """
    pid = _pid_in(pid_path)
    if pid is None or marker not in _command_line(pid):
        return
    for signal_number in (*signals, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        deadline = time.monotonic() + _ENDING_SECONDS
        while time.monotonic() < deadline:
            if marker not in _command_line(pid):
                return
            time.sleep(_POLL_SECONDS)
    raise ServerStartError(f"process {pid} still uses the data beside {pid_path} and does not end; end it by hand")


def log_since(log_path: Path, start: int) -> str:
    """Return the end of what was written to *log_path* after byte *start*, at most 4000 bytes."""
    if not log_path.exists():
        return ""
    with log_path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(start, size - _LOG_BYTES))
        return log.read().decode(errors="replace").strip()


def _pid_in(pid_path: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(pid_path.read_text(encoding="ascii").split()[0])
    return None


def _command_line(pid: int) -> str:
    """Return the command line of a live process, or nothing."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    listing = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return listing.stdout
