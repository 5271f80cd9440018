"""Throw-away databases at any revision, on a PostgreSQL that is kept warm between calls."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from alembic import command
from psycopg import sql

from migrator.authoring import scratch_keeper
from migrator.authoring.scratch_keeper import ADDRESS, USED
from migrator.classifier import sentence
from migrator.configuration import alembic_config
from migrator.errors import PermanentError, TemporaryError
from servers.child import make_passable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.authoring.chain import Chain
    from migrator.environment import Environment

IDLE_SECONDS = 900.0
_START_SECONDS = 60.0
_RESTART_SECONDS = 3.0
_LOOK_SECONDS = 0.02
_READY = "ready"


@dataclass(frozen=True)
class Scratch:
    """
    A warm throw-away server and the databases on it; made by `reach_scratch`.

    Args:
        superuser_url: For making and dropping databases.
        url: For working in one, as a role that is no superuser; without the database's name.
        major: The server's major version.
    """

    superuser_url: str
    url: str
    major: int

    @contextmanager
    def database(self, chain: Chain, revision: str | None) -> Iterator[str]:
        """
        Give the URL of a fresh database of the chain's environment at *revision*, dropped at the end.

        The first call for a revision runs the chain up to it and keeps the result as a template.

        Raises:
            PermanentError: A revision of the chain failed; the message names it.
        """
        name = f"scratch_{secrets.token_hex(6)}"
        template = "template1" if revision is None else self._template(chain, revision)
        self._create(name, template)
        try:
            yield f"{self.url}{name}"
        finally:
            with suppress(psycopg.OperationalError):
                self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _template(self, chain: Chain, revision: str) -> str:
        name = _template_name(chain, revision)
        # A comment is the last thing that a template gets: without it, its maker was interrupted.
        query = "SELECT shobj_description(oid, 'pg_database') = %s FROM pg_database WHERE datname = %s"
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            # Who else wants this template waits until it is filled, or its maker's connection has ended.
            connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
            if connection.execute(query, (_READY, name)).fetchone() == (True,):
                return name
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            self._create(name, "template1")
            upgrade_scratch(chain.environment, f"{self.url}{name}", revision)
            self._run(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(_READY)))
        return name

    def _create(self, name: str, template: str) -> None:
        # FILE_COPY is quicker for templates of some megabytes, where nothing is synced.
        owner = urlsplit(self.url).username or "postgres"
        self._run(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)
            )
        )

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(statement)


def upgrade_scratch(environment: Environment, url: str, revision: str) -> None:
    """
    Run the chain up to *revision* in the database at *url*.

    Raises:
        PermanentError: A revision failed, or Alembic cannot read the chain.
    """
    from migrator.progress import Progress  # noqa: PLC0415 - not wanted where the template is there already

    progress = Progress()
    try:
        command.upgrade(alembic_config(environment, url=url, progress=progress), revision)
    except Exception as error:
        at = f"Revision {progress.revision}" if progress.revision else f"The way to {revision}"
        raise PermanentError(
            f"{at} of the {environment.name} environment does not run on an empty database: {sentence(error)}. "
            "Nothing but a throw-away database was touched. Correct it first."
        ) from error
    # What ran may have been swallowed by an env.py that touches the connection before it is configured.
    with closing(psycopg.connect(url)) as connection:
        found = _version(connection, environment.version_table)
    if found != revision:
        raise PermanentError(
            f"The revisions of the {environment.name} environment ran without an error, but the database is at "
            f"{found or 'no revision'} and not at {revision}: nothing was committed. Its env.py uses the connection "
            "before context.configure(), so that Alembic joins a transaction that nobody commits; let env.py do "
            "nothing but call run_env."
        )


def reach_scratch(folder: Path, *, idle_seconds: float = IDLE_SECONDS) -> Scratch:
    """
    Return the warm server of *folder*, started if there is none; it ends by itself after *idle_seconds* without use.

    Raises:
        BinaryNotFoundError: No PostgreSQL is installed.
        TemporaryError: It did not come up; the message names its log.
    """
    folder = folder.resolve()
    make_passable(folder)
    (folder / ".gitignore").write_text("*\n", encoding="ascii")
    deadline = time.monotonic() + _START_SECONDS
    start_at = time.monotonic()
    while time.monotonic() < deadline:
        (folder / USED).touch()
        scratch = _answering(folder)
        if scratch is not None:
            return scratch
        if time.monotonic() >= start_at:
            # More than once, because a keeper that is just ending may still hold the folder.
            _start_keeper(folder, idle_seconds)
            start_at = time.monotonic() + _RESTART_SECONDS
        time.sleep(_LOOK_SECONDS)
    raise TemporaryError(
        f"The throw-away PostgreSQL in {folder} did not answer within {_START_SECONDS:g} s. See "
        f"{folder / 'keeper.log'} and {folder / 'server' / 'server.log'}; removing the folder starts it anew."
    )


def _answering(folder: Path) -> Scratch | None:
    try:
        told: dict[str, Any] = json.loads((folder / ADDRESS).read_text(encoding="utf-8"))
        psycopg.connect(told["superuser_url"], connect_timeout=5).close()
    except (OSError, ValueError, psycopg.OperationalError):
        return None
    return Scratch(**told)


def _start_keeper(folder: Path, idle_seconds: float) -> None:
    from servers.postgres import find_binaries  # noqa: PLC0415 - a warm server needs none

    find_binaries()
    command_line = [sys.executable, "-m", scratch_keeper.__name__, str(folder), str(idle_seconds)]
    root = str(Path(__file__).resolve().parents[2])
    with (folder / "keeper.log").open("ab") as log:
        # Its first process ends at once, so that the keeper is nobody's child and outlives the command.
        subprocess.run(
            command_line,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": root},
            check=True,
        )


def _template_name(chain: Chain, revision: str) -> str:
    """Name it by what is in it: the revisions' text, and the day, because a revision may make partitions by the day."""
    digest = hashlib.sha256(f"{datetime.now(UTC):%Y-%m-%d}\0{chain.environment.version_table}".encode())
    for ancestor in chain.up_to(revision):
        digest.update(ancestor.path.read_bytes())
    return f"template_{chain.environment.name}_{digest.hexdigest()[:16]}"[:63]


def _version(connection: psycopg.Connection[Any], version_table: str) -> str | None:
    row = connection.execute("SELECT pg_catalog.to_regclass(%s)", (version_table,)).fetchone()
    if row is None or row[0] is None:
        return None
    found = connection.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(version_table))).fetchone()
    return None if found is None else str(found[0])
