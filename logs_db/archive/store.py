"""Where archives are kept: a folder, or a bucket of an S3-compatible store."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from logs_db.archive.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNFINISHED = ".part"


class Store(Protocol):
    """Named files below one place.  Whatever fails is an `ArchiveError` that says which file and why."""

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file that gets its name, and is safe on disk, when the block ends; by an error in it nothing is left."""

    def reading(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read and seek in."""

    def names(self, prefix: str) -> list[str]:
        """All names that begin with *prefix*, in order; unfinished ones too, where the store shows them."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def abandon(self, prefix: str) -> None:
        """Remove what killed writers left unfinished of names that begin with *prefix*."""

    def arrow_paths(self, names: list[str]) -> tuple[list[str], Any]:
        """Files as Arrow is to open them itself, and the file system to do it by; None: this machine's."""

    def location(self, name: str) -> str:
        """Where a file is, for people, without any secret."""


def open_store(url: str) -> Store:
    """
    The store at *url*: a folder's whole path, or ``s3://bucket/prefix`` with credentials from the usual AWS variables.

    Raises:
        ArchiveError: There is no such kind of store, the path is relative, or the packages that the store needs are
            not installed.
    """
    parts = urlsplit(url)
    if parts.scheme in {"", "file"}:
        return Folder(_absolute(Path(unquote(parts.path) if parts.scheme else url).expanduser()))
    if parts.scheme == "s3" and parts.netloc:
        from logs_db.archive.bucket import Bucket  # noqa: PLC0415 - only who uses it needs its packages

        return Bucket(parts.netloc, parts.path.strip("/"))
    raise ArchiveError(
        f"LOG_ARCHIVE_URL names a store of the kind {parts.scheme}://, which is not known. Nothing was archived and "
        "nothing is dropped. Write a folder's path, or s3://bucket/prefix."
    )


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ArchiveError(
            f"LOG_ARCHIVE_URL is the relative path {path}, which another process would look for elsewhere. Nothing was "
            "archived and nothing is dropped. Write the whole path."
        )
    return path


class Folder:
    """Files below a folder, which is made with the first of them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """See `Store`."""
        path = self._root / name
        unfinished = path.with_name(path.name + UNFINISHED)
        with self._told("cannot be written", name):
            made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in made:
                _sync(folder.parent)
            try:
                with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(path)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)
                raise
            _sync(path.parent)

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """See `Store`."""
        with self._told("cannot be read", name), (self._root / name).open("rb") as file:
            yield file

    def names(self, prefix: str) -> list[str]:
        """See `Store`."""
        folder = self._root / prefix
        folder = folder if prefix.endswith("/") else folder.parent
        if not folder.is_dir():
            return []
        with self._told("cannot be listed", prefix):
            found = (path.relative_to(self._root).as_posix() for path in folder.iterdir() if path.is_file())
            return sorted(name for name in found if name.startswith(prefix))

    def remove(self, name: str) -> None:
        """See `Store`."""
        with self._told("cannot be removed", name):
            (self._root / name).unlink(missing_ok=True)

    def abandon(self, prefix: str) -> None:
        """See `Store`."""
        for name in self.names(prefix):
            if name.endswith(UNFINISHED):
                self.remove(name)

    def arrow_paths(self, names: list[str]) -> tuple[list[str], Any]:
        """See `Store`."""
        return [str(self._root / name) for name in names], None

    def location(self, name: str) -> str:
        """See `Store`."""
        return str(self._root / name)

    @contextmanager
    def _told(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise unusable(self.location(name), what, exc.strerror or str(exc)) from exc


def unusable(location: str, what: str, why: str) -> ArchiveError:
    """The error that tells why a file of an archive cannot be used."""
    return ArchiveError(f"The archive's {location} {what}: {why}. No partition was dropped. Mend that and try again.")


def _sync(folder: Path) -> None:
    """Make the folder itself lasting: without it a file may lose its new name when the power fails."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
