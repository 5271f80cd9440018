"""A PostgreSQL server of our own: lasting and fully durable, or throw-away and fast."""

import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from servers.binaries import PostgresBinaries, all_binaries, find_binaries
from servers.child import give_to, start_child, stop_child, unprivileged_identity
from servers.cluster import data_major, make_data
from servers.errors import ServerStartError
from servers.folder_lock import FolderLock
from servers.leftovers import log_since, stop_leftover
from servers.passwords import kept_passwords
from servers.ports import LOOPBACK, free_port

__all__ = ["PostgresBinaries", "PostgresServer", "all_binaries", "find_binaries"]

APPLICATION_ROLE = "headhunter"
SUPERUSER = "postgres"
START_SECONDS = 60.0
_PASSING_SECONDS = 15.0
_POLL_SECONDS = 0.01
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_THROW_AWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_ALWAYS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    # A read over a year of daily partitions with their indexes takes thousands of locks.
    "max_locks_per_transaction": "512",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
# What passes by itself: a predecessor's last processes are still ending, or somebody was quicker with our port.
_PASSING = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
_PORT_TAKEN = "Address already in use"


@dataclass
class PostgresServer:
    """
    A running PostgreSQL that dies with this process; a context manager that stops it.

    It listens on the loopback interface only and asks for a password (SCRAM).  `process` is the postmaster itself.
    """

    folder: Path
    binaries: PostgresBinaries
    port: int
    _passwords: dict[str, str] = field(repr=False)
    _lock: FolderLock = field(repr=False)
    process: subprocess.Popen[bytes] = field(init=False, repr=False)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        binaries: PostgresBinaries | None = None,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """
        Start a server on the data in *folder*, which are made at the first start; return when it accepts connections.

        *folder* also holds the log (`server.log`) and the passwords (0600); *port* is a free one by default; *durable*
        is False only for data that may be lost with the machine; *settings* are more settings as in postgresql.conf,
        but those of durability are not to be had by this way.

        Raises:
            BinaryNotFoundError: No PostgreSQL is installed.
            FolderInUseError: A server runs on *folder*, started by another process or by this one.
            ServerStartError: It did not come up; the data are untouched.
        """
        folder = folder.resolve()
        binaries = binaries or find_binaries(data_major(folder / "data"))
        all_settings = _all_settings(durable=durable, settings=settings)
        give_to(folder, unprivileged_identity())
        lock = FolderLock.acquire(folder / "lock")
        try:
            passwords = kept_passwords(folder / "passwords.json", (SUPERUSER, APPLICATION_ROLE))
            if not (folder / "data").exists():
                make_data(folder, binaries, SUPERUSER, passwords[SUPERUSER], durable=durable)
            stop_leftover(folder / "data" / "postmaster.pid", str(folder / "data"), signal.SIGQUIT)
            server = cls(folder, binaries, port or free_port(), passwords, lock)
            _launch(server, all_settings, port_is_free_choice=port is None)
            server.create_role()
        except BaseException:
            lock.release()
            raise
        return server

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return self.binaries.major

    @property
    def superuser_url(self) -> str:
        """The URL of the database `postgres` for the superuser: for administration, never for an application."""
        return self.url("postgres", role=SUPERUSER)

    def url(self, database: str, *, role: str = APPLICATION_ROLE) -> str:
        """Return the URL, password included, of *database* for *role*."""
        password = quote(self.password(role), safe="")
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def password(self, role: str) -> str:
        """Return the password of *role*, the superuser's or the application's."""
        return self._passwords[role]

    def create_role(self) -> None:
        """Make the application's role where it is missing: it may log in, and nothing more."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION_ROLE]).fetchone():
                return
            # Hashed here, so that the password is in no statement and in no server log.
            hashed = connection.pgconn.encrypt_password(
                self._passwords[APPLICATION_ROLE].encode(), APPLICATION_ROLE.encode(), b"scram-sha-256"
            )
            statement = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(APPLICATION_ROLE), hashed.decode()))

    def create_database(self, name: str) -> str:
        """Make database *name*, owned by the application's role, where it is missing; return its URL."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(name), sql.Identifier(APPLICATION_ROLE)
                    )
                )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove database *name* and close its connections; nothing happens where it is missing."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Shut down: sessions are ended, data are written, no recovery at the next start."""
        stop_child(self.process, signal.SIGINT, signal.SIGQUIT)
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


def _all_settings(*, durable: bool, settings: Mapping[str, str] | None) -> dict[str, str]:
    forbidden = sorted(set(settings or {}) & set(_DURABLE))
    if forbidden:
        raise ValueError(f"{', '.join(forbidden)}: durability is set by durable=, not by settings=")
    return _ALWAYS | (_DURABLE if durable else _THROW_AWAY) | dict(settings or {})


def _launch(server: PostgresServer, settings: Mapping[str, str], *, port_is_free_choice: bool) -> None:
    """Start the postmaster of *server* and wait until it accepts connections."""
    log_path = server.folder / "server.log"
    began = time.monotonic()
    while True:
        start = log_path.stat().st_size if log_path.exists() else 0
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        server.process = start_child(
            [server.binaries.program("postgres"), "-D", server.folder / "data", "-c", f"port={server.port}", *options],
            log_path=log_path,
            death_signal=signal.SIGQUIT,
            identity=unprivileged_identity(),
        )
        if _accepts(server, began + START_SECONDS):
            return
        stop_child(server.process, signal.SIGQUIT)
        log = log_since(log_path, start)
        port_taken = port_is_free_choice and _PORT_TAKEN in log
        passing = port_taken or any(text in log for text in _PASSING)
        if not passing or time.monotonic() > began + _PASSING_SECONDS:
            raise ServerStartError(
                f"PostgreSQL did not start in {server.folder}; its data are untouched. It said:\n{log}"
            )
        if port_taken:
            server.port = free_port()
        time.sleep(_POLL_SECONDS)


def _accepts(server: PostgresServer, deadline: float) -> bool:
    """Wait until *server* lets us in; False if it ended or the deadline passed before."""
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server.superuser_url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                stop_child(server.process, signal.SIGINT)
                message = f"passwords.json in {server.folder} does not belong to the data beside it"
                raise ServerStartError(f"{message}; restore both from the same backup") from error
            time.sleep(_POLL_SECONDS)
        else:
            return True
    return False
