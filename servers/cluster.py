"""The data folder of a PostgreSQL server, made by initdb."""

import shutil
from pathlib import Path

from servers.binaries import PostgresBinaries
from servers.child import give_to, start_child, stop_child, unprivileged_identity
from servers.disk import rename_durably
from servers.errors import ServerStartError
from servers.leftovers import log_since
from servers.passwords import write_private

_INITDB_SECONDS = 120.0
_BUILTIN_LOCALE_SINCE = 17


def make_data(folder: Path, binaries: PostgresBinaries, superuser: str, password: str, *, durable: bool) -> None:
    """
    Make `data` in *folder*: UTF8, sorted by code point (C.UTF-8), every login by password (SCRAM).

    Raises:
        ServerStartError: initdb failed; there is no `data` folder then.
    """
    # Made under another name, so that what a killed initdb leaves behind is never taken for data.
    draft, password_path, log_path = folder / "data.draft", folder / ".initdb-password", folder / "server.log"
    identity = unprivileged_identity()
    shutil.rmtree(draft, ignore_errors=True)
    give_to(draft, identity)
    write_private(password_path, password)
    if ":" in identity:
        shutil.chown(password_path, *map(int, identity.split(":")))
    command: list[str | Path] = [
        binaries.program("initdb"),
        "--pgdata",
        draft,
        "--username",
        superuser,
        "--pwfile",
        password_path,
    ]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions", *_locale(binaries.major)]
    process = start_child(command if durable else [*command, "--no-sync"], log_path=log_path, identity=identity)
    try:
        exit_code = process.wait(timeout=_INITDB_SECONDS)
    finally:
        stop_child(process)
        password_path.unlink()
    if exit_code != 0:
        raise ServerStartError(f"initdb ended with exit code {exit_code}; it said:\n{log_since(log_path, 0)}")
    (rename_durably if durable else Path.rename)(draft, folder / "data")


def data_major(data: Path) -> int | None:
    """Return the major version that the data in *data* belong to; only a server of that version opens them."""
    version_path = data / "PG_VERSION"
    return int(version_path.read_text(encoding="ascii")) if version_path.exists() else None


def _locale(major: int) -> tuple[str, ...]:
    if major >= _BUILTIN_LOCALE_SINCE:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    return ("--locale=C.UTF-8",)
