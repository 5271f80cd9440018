"""A streaming replica of a PostgreSQL server of our own, for tests and measurements."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from servers.child import give_to, start_child, stop_child, unprivileged_identity
from servers.errors import ServerStartError
from servers.leftovers import log_since
from servers.passwords import write_private
from servers.ports import LOOPBACK
from servers.postgres import SUPERUSER, PostgresServer

_COPY_SECONDS = 120.0


def start_replica(
    primary: PostgresServer, folder: Path, *, durable: bool = False, settings: Mapping[str, str] | None = None
) -> PostgresServer:
    """
    Start a server on a copy of *primary* in *folder*, which is new, and let it follow; return when it may be read.

    Its URLs are as the primary's but for the port.  The other arguments are as for `PostgresServer.start`.

    Raises:
        ServerStartError: The copy could not be made, or it did not come up; the primary is untouched.
    """
    folder = folder.resolve()
    identity = unprivileged_identity()
    give_to(folder, identity)
    # Its roles are the primary's, and so are their passwords.
    write_private(folder / "passwords.json", (primary.folder / "passwords.json").read_text(encoding="utf-8"))
    _copy(primary, folder, identity)
    return PostgresServer.start(folder, binaries=primary.binaries, durable=durable, settings=settings)


def _copy(primary: PostgresServer, folder: Path, identity: str) -> None:
    """Make `data` in *folder*, with what lets it follow the primary; there is none if that fails."""
    draft, log_path = folder / "data.draft", folder / "server.log"
    shutil.rmtree(draft, ignore_errors=True)
    process = start_child(
        [
            *(primary.binaries.program("pg_basebackup"), "--pgdata", draft, "--write-recovery-conf"),
            *("--wal-method=stream", "--checkpoint=fast", "--no-sync"),
            *("--host", LOOPBACK, "--port", str(primary.port), "--username", SUPERUSER),
        ],
        log_path=log_path,
        # Not among the arguments, where every user of the machine could read it.
        environment={**os.environ, "PGPASSWORD": primary.password(SUPERUSER)},
        identity=identity,
    )
    try:
        exit_code = process.wait(timeout=_COPY_SECONDS)
    finally:
        stop_child(process)
    if exit_code != 0:
        raise ServerStartError(f"pg_basebackup ended with exit code {exit_code}; it said:\n{log_since(log_path, 0)}")
    draft.rename(folder / "data")
