"""The folder that several processes spool into: its privacy, its size, and who may touch which file."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]  # asked for by is_supported

LOCK_NAME = "spool.lock"
_LOCK_PATIENCE_SECONDS = 2.0
_LOCK_PAUSE_SECONDS = 0.002
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def is_supported() -> bool:
    """Whether this system has the file locks that keep processes apart."""
    return fcntl is not None


class SpoolFolder:
    """
    *path*, made with mode 0700 where it is missing.

    Locks belong to open files, so the death of a process frees its files at once.  A forked child holds copies of
    its parent's open files, and with them the locks: `close_in_child` lets go of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: set[int] = set()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Keep other threads and processes from creating, choosing and measuring files.

        Raises:
            OSError: The folder cannot be used; the message names no file's content.
            TimeoutError: Somebody holds the lock and does not let go; an OSError too.
        """
        self._prepare()
        descriptor = self.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT)
        try:
            deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process does not let go of {LOCK_NAME}")
                time.sleep(_LOCK_PAUSE_SECONDS)
            yield
        finally:
            self.release(descriptor)

    def open(self, path: Path, flags: int) -> int:
        """An open file that nobody but this user may read and no child process inherits."""
        descriptor = os.open(path, flags | _FLAGS, 0o600)
        self._open.add(descriptor)
        return descriptor

    def create(self, path: Path) -> int:
        """A new file, taken; call it in `locked`."""
        descriptor = self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        _try_lock(descriptor)
        return descriptor

    def take(self, path: Path) -> int | None:
        """The file opened and taken; None where it is gone or somebody else has it.  Call it in `locked`."""
        try:
            descriptor = self.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        if _try_lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor
        self.release(descriptor)
        return None

    def release(self, descriptor: int) -> None:
        """Unlock and close; unlocked by name, because a child forked a moment ago may hold a copy."""
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self._open.discard(descriptor)
        with suppress(OSError):
            os.close(descriptor)

    def close_in_child(self) -> None:
        """Close the copies of the parent's files, and with them a forked child's share in their locks."""
        for descriptor in list(self._open):
            with suppress(OSError):
                os.close(descriptor)
        self._open.clear()

    def files(self, suffix: str) -> list[Path]:
        """The files whose name ends in *suffix*, sorted by name."""
        with os.scandir(self.path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.endswith(suffix))

    def held_bytes(self, suffix: str) -> int:
        """What these files take; 0 where there is no folder."""
        total = 0
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(suffix):
                    with suppress(FileNotFoundError):  # delivered by another process this moment
                        total += entry.stat(follow_symlinks=False).st_size
        return total

    def _prepare(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(self.path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError("it is not a folder of this process's user")
        if found.st_mode & 0o077:
            self.path.chmod(0o700)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
