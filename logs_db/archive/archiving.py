"""
Bringing a partition into the archive.

Rows are streamed into a file with a name of its own, which is read back; only then the manifest names it, all at once;
and only then ``archived_partitions`` does.  Whoever is killed before leaves a file that no manifest names, and the next
run removes it.  Whoever is killed later leaves an archive, and the next run finds that it is what the table holds.
"""

from __future__ import annotations

import secrets
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, LiteralString

from logs_db.archive.columns import read_columns
from logs_db.archive.errors import ArchiveError
from logs_db.archive.extra import load
from logs_db.archive.manifest import FORMAT, Manifest, read_manifest, write_manifest
from logs_db.archive.parquet import CountingFile, write_file
from logs_db.archive.store import open_store
from logs_db.archive.table_rows import digest_of, read_pieces
from logs_db.archive.verification import verify

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator, Iterator

    import psycopg

    from logs_db.archive.columns import Column
    from logs_db.archive.store import Store
    from logs_db.detachment import Detached

_LOCK: LiteralString = "pg_catalog.hashtextextended('headhunter logs archive ' || %s::text, 0)"
_RECORD: LiteralString = """
INSERT INTO public.archived_partitions (table_name, partition_name, since, until, location, rows, size_bytes, sha256)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (table_name, partition_name) DO UPDATE
SET since = EXCLUDED.since, until = EXCLUDED.until, location = EXCLUDED.location, rows = EXCLUDED.rows,
    size_bytes = EXCLUDED.size_bytes, sha256 = EXCLUDED.sha256, verified_at = now()
"""


def hook(
    connection: psycopg.Connection[Any], url: str | None, stop: threading.Event | None = None
) -> Callable[[str, Detached], str] | None:
    """
    What `logs_db.retention.run` is to call before it drops a partition: that archives it, see `archive`.

    Args:
        connection: The one that retention works on.
        url: LOG_ARCHIVE_URL; None: there is no archive, and no hook.
        stop: Gives up at the next piece of rows.
    """
    if url is None:
        return None

    def before_drop(_: str, detached: Detached) -> str:
        store = open_store(url)
        manifest = archive(connection, store, detached, stop)
        return store.location(f"{manifest.table}/{manifest.file}")

    return before_drop


def archive(
    connection: psycopg.Connection[Any], store: Store, partition: Detached, stop: threading.Event | None = None
) -> Manifest:
    """
    Archive all rows of *partition*, unless the archive holds just these already, and read them back.

    Args:
        connection: In autocommit, past any pooler; used by nobody else meanwhile.
        store: Where to.
        partition: A partition, attached or not.  What is written to it later is not in the archive.
        stop: Gives up at the next piece.

    Returns:
        The manifest of what was verified just now, and is accounted for in ``archived_partitions``.

    Raises:
        ArchiveError: It could not be; the partition is kept.
        psycopg.Error: Likewise.
    """
    load("pyarrow")
    with _alone(connection, partition.name):
        work = _Work(connection, store, partition, stop)
        manifest = work.found() or work.write()
        work.record(manifest)
        work.clean(manifest)
        return manifest


@dataclass(frozen=True)
class _Work:
    connection: psycopg.Connection[Any]
    store: Store
    partition: Detached
    stop: threading.Event | None

    @property
    def _prefix(self) -> str:
        return f"{self.partition.table}/{self.partition.name}."

    def found(self) -> Manifest | None:
        """The manifest of an archive that holds what the table holds, and can be read; None: there is none."""
        columns = read_columns(self.connection, self.partition.relation)
        try:
            manifest = read_manifest(self.store, self.partition.table, self.partition.name)
            if manifest.columns != columns:
                return None
            with self._pieces(columns) as pieces:
                content_sha256 = digest_of(pieces)
            if manifest.content_sha256 != content_sha256:
                return None
            verify(self.store, manifest)
        except ArchiveError:
            return None
        return manifest

    def write(self) -> Manifest:
        """Write a new archive; it is the partition's when its manifest is there, after it has been read back."""
        columns = read_columns(self.connection, self.partition.relation)
        name = f"{self.partition.name}.{secrets.token_hex(4)}.parquet"
        with self.store.writing(f"{self.partition.table}/{name}") as file:
            counted = CountingFile(file)
            with self._pieces(columns) as pieces:
                content = write_file(counted, pieces, columns)
        least, most = content.bounds
        manifest = Manifest(
            format=FORMAT,
            table=self.partition.table,
            partition=self.partition.name,
            since=self.partition.since,
            until=self.partition.until,
            columns=columns,
            rows=content.rows,
            min_created_at=least,
            max_created_at=most,
            file=name,
            bytes=counted.bytes,
            sha256=counted.sha256,
            content_sha256=content.sha256,
            product_version=version("headhunter"),
        ).sealed()
        verify(self.store, manifest)
        write_manifest(self.store, manifest)
        return manifest

    def _pieces(self, columns: list[Column]) -> closing[Generator[bytes, None, None]]:
        """The rows; whatever fails amid them ends the COPY, so that the connection can do what comes next."""
        return closing(read_pieces(self.connection, self.partition.relation, columns, self.stop))

    def record(self, manifest: Manifest) -> None:
        """Say in the database that it is archived."""
        location = self.store.location(f"{manifest.table}/{manifest.file}")
        bounds = (manifest.table, manifest.partition, manifest.since, manifest.until)
        sizes = (location, manifest.rows, manifest.bytes, bytes.fromhex(manifest.sha256))
        self.connection.execute(_RECORD, bounds + sizes)

    def clean(self, manifest: Manifest) -> None:
        """Remove what runs that were killed, and an older archive, have left."""
        self.store.abandon(self._prefix)
        kept = {manifest.name, f"{manifest.table}/{manifest.file}"}
        for name in self.store.names(self._prefix):
            if name not in kept:
                self.store.remove(name)


@contextmanager
def _alone(connection: psycopg.Connection[Any], partition: str) -> Iterator[None]:
    row = connection.execute("SELECT pg_catalog.pg_try_advisory_lock(" + _LOCK + ")", (partition,)).fetchone()
    if row is None or not row[0]:
        raise ArchiveError(f"Another process is archiving {partition}. Nothing was done here. Wait for it.")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(" + _LOCK + ")", (partition,))
