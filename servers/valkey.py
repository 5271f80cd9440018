"""A Valkey (or Redis) server of our own: lasting and fully durable, or throw-away and fast."""

import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.binaries import find_server_binary
from servers.child import SAME_IDENTITY, give_to, start_child, stop_child
from servers.errors import ServerStartError
from servers.folder_lock import FolderLock
from servers.leftovers import log_since, stop_leftover
from servers.passwords import kept_passwords, write_private
from servers.ports import LOOPBACK, free_port

__all__ = ["RedisServer", "find_server_binary"]

START_SECONDS = 60.0
_POLL_SECONDS = 0.01
_PROBE_SECONDS = 1.0
_PORT_TAKEN = "Address already in use"


@dataclass
class RedisServer:
    """
    A running Valkey or Redis that dies with this process; a context manager that stops it.

    It listens on the loopback interface only, asks for a password and never evicts a key.
    """

    folder: Path
    binary: Path
    port: int
    _password: str = field(repr=False)
    _lock: FolderLock = field(repr=False)
    process: subprocess.Popen[bytes] = field(init=False, repr=False)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        binary: Path | None = None,
        port: int | None = None,
        durable: bool = True,
        maxmemory_bytes: int | None = None,
    ) -> Self:
        """
        Start a server on the data in *folder*; return when it has loaded them and answers.

        *folder* also holds the log (`server.log`), the password and the settings with it (0600); *port* is a free one
        by default; *durable* puts each write on disk before it is answered, without it nothing is kept; above
        *maxmemory_bytes* writes are refused.

        Raises:
            BinaryNotFoundError: No Valkey and no Redis is installed.
            FolderInUseError: A server runs on *folder*, started by another process or by this one.
            ServerStartError: It did not come up; the data are untouched.
        """
        binary = binary or find_server_binary()
        folder = folder.resolve()
        give_to(folder, SAME_IDENTITY)
        lock = FolderLock.acquire(folder / "lock")
        try:
            password = kept_passwords(folder / "passwords.json", ("default",))["default"]
            stop_leftover(folder / "server.pid", str(folder / "server.conf"), signal.SIGTERM)
            server = cls(folder, binary, port or free_port(), password, lock)
            _launch(server, durable=durable, maxmemory_bytes=maxmemory_bytes, port_is_free_choice=port is None)
        except BaseException:
            lock.release()
            raise
        return server

    @property
    def url(self) -> str:
        """The URL of database 0, password included."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def stop(self) -> None:
        """Shut down; with durable data nothing answered is lost."""
        stop_child(self.process, signal.SIGTERM)
        self._lock.release()

    def kill(self) -> None:
        """Let it die at once (SIGKILL), as with the machine's power; the next start recovers its data."""
        stop_child(self.process)
        self._lock.release()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def _settings(server: RedisServer, *, durable: bool, maxmemory_bytes: int | None) -> str:
    lines = {
        "bind": LOOPBACK,
        "port": str(server.port),
        "requirepass": server._password,  # noqa: SLF001  (a function of this module)
        "dir": f'"{server.folder}"',
        "pidfile": f'"{server.folder / "server.pid"}"',
        "daemonize": "no",
        # The command line goes on naming server.conf, by which a leftover is known.
        "set-proc-title": "no",
        "save": '""',
        "appendonly": "yes" if durable else "no",
        "appendfsync": "always",
        "maxmemory": str(maxmemory_bytes or 0),
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _launch(server: RedisServer, *, durable: bool, maxmemory_bytes: int | None, port_is_free_choice: bool) -> None:
    settings_path, log_path = server.folder / "server.conf", server.folder / "server.log"
    deadline = time.monotonic() + START_SECONDS
    while True:
        write_private(settings_path, _settings(server, durable=durable, maxmemory_bytes=maxmemory_bytes))
        start = log_path.stat().st_size if log_path.exists() else 0
        server.process = start_child([server.binary, settings_path], log_path=log_path)
        if _answers(server, deadline):
            return
        stop_child(server.process, signal.SIGTERM)
        log = log_since(log_path, start)
        if time.monotonic() > deadline or not (port_is_free_choice and _PORT_TAKEN in log):
            raise ServerStartError(
                f"{server.binary} did not start in {server.folder}; its data are untouched. It said:\n{log}"
            )
        server.port = free_port()


def _answers(server: RedisServer, deadline: float) -> bool:
    """Wait until *server* answers a PING with our password; False if it ended or the deadline passed before."""
    while server.process.poll() is None and time.monotonic() < deadline:
        if _ping(server):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _ping(server: RedisServer) -> bool:
    # By hand, because this room does without a client.  A server that is still loading answers -LOADING.
    request = f"AUTH {server._password}\r\nPING\r\n".encode()  # noqa: SLF001  (a function of this module)
    with suppress(OSError), socket.create_connection((LOOPBACK, server.port), timeout=_PROBE_SECONDS) as connection:
        connection.sendall(request)
        answer = b""
        while answer.count(b"\r\n") < 2:  # noqa: PLR2004  (two requests, two lines)
            received = connection.recv(1024)
            if not received:
                break
            answer += received
        return answer == b"+OK\r\n+PONG\r\n"
    return False
