"""
Keeps one throw-away PostgreSQL warm, and ends with it: `python -m migrator.authoring.scratch_keeper FOLDER SECONDS`.

It belongs to no terminal and to nobody who started it: it ends when nobody used the server for SECONDS, or when the
folder is gone. What the server held goes with it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from servers.errors import FolderInUseError, ServerStartError
from servers.passwords import write_private
from servers.postgres import PostgresServer

ADDRESS = "address.json"
USED = "used"
_LOOK_SECONDS = 0.5
_OTHERS = """
SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
"""
# What a scratch database does is never worth a background writer's or a checkpoint's interruption.
_SETTINGS = {"autovacuum": "off", "max_wal_size": "4GB", "checkpoint_timeout": "1h", "shared_buffers": "256MB"}


def keep(folder: Path, idle_seconds: float) -> None:
    """
    Serve until nobody used the server for *idle_seconds*; return at once where another keeper serves this folder.

    `address.json` (0600) tells the URLs and stands there only while the server accepts connections.
    """
    try:
        server = _started(folder / "server")
    except FolderInUseError:
        return
    address = folder / ADDRESS
    try:
        with server:
            told = {"superuser_url": server.superuser_url, "url": server.url(""), "major": server.major}
            (folder / USED).touch()
            write_private(folder / f"{ADDRESS}.draft", json.dumps(told))
            (folder / f"{ADDRESS}.draft").replace(address)
            while _is_wanted(folder, server, idle_seconds):
                time.sleep(_LOOK_SECONDS)
            address.unlink(missing_ok=True)
    finally:
        address.unlink(missing_ok=True)
        shutil.rmtree(folder / "server" / "data", ignore_errors=True)


def _started(folder: Path) -> PostgresServer:
    try:
        return PostgresServer.start(folder, durable=False, settings=_SETTINGS)
    except ServerStartError:
        # Not durable, so that a machine that went down may have left data that cannot be opened; nobody misses them.
        shutil.rmtree(folder / "data", ignore_errors=True)
        return PostgresServer.start(folder, durable=False, settings=_SETTINGS)


def _is_wanted(folder: Path, server: PostgresServer, idle_seconds: float) -> bool:
    used = folder / USED
    if not used.exists() or server.process.poll() is not None:
        return False
    if time.time() - used.stat().st_mtime < idle_seconds:
        return True
    # Somebody may still be at work on a connection that was made long ago.
    with suppress(psycopg.OperationalError), psycopg.connect(server.superuser_url) as connection:
        row = connection.execute(_OTHERS).fetchone()
        if row is not None and row[0]:
            used.touch()
            return True
    return False


if __name__ == "__main__":
    if os.fork() == 0:
        # Its starter's directory may be deleted or unmounted while it lives.
        os.chdir("/")
        keep(Path(sys.argv[1]), float(sys.argv[2]))
