"""Child processes that never outlive this one, not even when it is killed with SIGKILL."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")
SAME_IDENTITY = "self"


@cache
def _spawner(_pid: int) -> ThreadPoolExecutor:
    # The kernel's "parent died" means the *thread* that forked.  One thread that lives as long as this process starts
    # all children, so that a caller's thread may end before its server.  By pid: a forked child has no threads.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="children")


def start_child(
    command: Sequence[str | Path],
    *,
    log_path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    identity: str = SAME_IDENTITY,
) -> subprocess.Popen[bytes]:
    """
    Start *command* in a session of its own; the process is *command* itself, not a wrapper.

    Its output is appended to *log_path* (made with mode 0600); without it, it writes where we write.  *environment* is
    the whole environment, ours by default.  At our death it gets *death_signal* (on Linux; elsewhere it lives on and is
    found by its pid file).  *identity* comes from `unprivileged_identity`.
    """
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), identity]
    return _spawner(os.getpid()).submit(_popen, [*launch, *map(str, command)], log_path, environment).result()


def _popen(command: list[str], log_path: Path | None, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log_path else None
    try:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop our children in order.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    finally:
        if log is not None:
            os.close(log)


def stop_child(process: subprocess.Popen[bytes], *signals: signal.Signals, seconds_each: float = 10.0) -> int:
    """Send each of *signals* in turn, SIGKILL last, until *process* has ended; return its exit code."""
    for signal_number in (*signals, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(signal_number)
        try:
            return process.wait(timeout=seconds_each)
        except subprocess.TimeoutExpired:
            continue
    return process.wait()


@cache
def unprivileged_identity() -> str:
    """Return the identity for programs that refuse root: ours, a user namespace, or a user that is not root."""
    if os.getuid() != 0:
        return SAME_IDENTITY
    namespace = start_child(["true"], log_path=Path(os.devnull), identity="unshare")
    if namespace.wait() == 0:
        return "unshare"
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return f"{user.pw_uid}:{user.pw_gid}"
    return SAME_IDENTITY


def give_to(folder: Path, identity: str) -> None:
    """Make *folder* the private folder (0700) of who *identity* is outside of any user namespace."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if ":" in identity:
        user, group = (int(part) for part in identity.split(":"))
        shutil.chown(folder, user, group)


def make_passable(folder: Path) -> None:
    """Make *folder* ours alone (0700), but for the way through where servers below run as another user (0711)."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if ":" in unprivileged_identity() else 0o700)
