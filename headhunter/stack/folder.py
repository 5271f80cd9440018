"""The folder that holds everything the local stack keeps."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from servers.child import make_passable
from servers.errors import FolderInUseError
from servers.folder_lock import FolderLock
from servers.passwords import kept_passwords, write_private


class StackFolder:
    """
    `.headhunter/`: the servers' data, the logs of all processes, the admin token and `stack.env`.

    Held by one process at a time, from `open` to `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: FolderLock | None = None

    @property
    def environment_path(self) -> Path:
        """`stack.env`, there only while everything is ready."""
        return self.path / "stack.env"

    def open(self) -> None:
        """
        Make the folder where it is missing and take it for this process.

        Raises:
            FolderInUseError: Another `headhunter up` runs here; nothing was touched.
        """
        make_passable(self.path)
        try:
            self._lock = FolderLock.acquire(self.path / "lock")
        except FolderInUseError as error:
            message = f"a stack is running already: {error}.  Its URLs are in {self.environment_path}"
            raise FolderInUseError(message) from error
        # What stands here is private: no repository around it may ever take it in.
        (self.path / ".gitignore").write_text("*\n", encoding="ascii")
        self.environment_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Take back `stack.env` and let others in."""
        if self._lock is not None:
            self.environment_path.unlink(missing_ok=True)
            self._lock.release()

    def admin_token(self) -> str:
        """Return the admin token, made at the first call and kept ever after."""
        return kept_passwords(self.path / "admin-token.json", ("admin",))["admin"]

    def fresh_log(self, name: str) -> Path:
        """Return where process *name* logs, empty; what its predecessor logged is kept once, as `NAME.log.1`."""
        log_path = self.path / f"{name}.log"
        with suppress(FileNotFoundError):
            log_path.replace(log_path.with_name(f"{name}.log.1"))
        return log_path

    def write_environment(self, values: Mapping[str, str]) -> None:
        """Write `stack.env`, one KEY=VALUE a line as a shell reads it, for its owner only."""
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
        write_private(self.environment_path, "".join(lines))
