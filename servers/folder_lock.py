"""One process at a time on a folder."""

import fcntl
import os
from pathlib import Path
from typing import Self

from servers.errors import FolderInUseError


class FolderLock:
    """The right to use a folder, held until `release` or until this process dies, however it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """
        Take the lock file at *path*, which is made where it is missing and tells who holds it.

        Raises:
            FolderInUseError: Another process holds it, or this one holds it already.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderInUseError(f"{path.parent} is in use by process {holder}; stop that process first") from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others in; nothing happens the second time."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
