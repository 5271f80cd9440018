"""The note beside each archived partition: what it holds, and how to tell that it still does."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from logs_db.archive.columns import Column
from logs_db.archive.errors import ArchiveError
from logs_db.partitions import PARTITIONED_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logs_db.archive.store import Store

FORMAT: Final = 1
SUFFIX: Final = ".manifest.json"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    An archived partition.

    Args:
        since: Its lower bound in UTC; None: it had none.
        until: Its upper bound, not included.
        min_created_at: The instant of its oldest row, as PostgreSQL writes it in UTC; None: there are no rows.
        file: Where the rows are, beside the manifest.
        bytes: Of that file, as is *sha256*.
        content_sha256: Of the rows as CSV in the order of their key, see `logs_db.archive.columns`.
        product_version: Which headhunter wrote it.
        seal: The SHA-256 of all that stands above, so that a manifest that was changed is not believed.
    """

    format: int
    table: str
    partition: str
    since: datetime | None
    until: datetime
    columns: list[Column]
    rows: int
    min_created_at: str | None
    max_created_at: str | None
    file: str
    bytes: int
    sha256: str
    content_sha256: str
    product_version: str
    seal: str = ""

    @property
    def name(self) -> str:
        """Its own name in the store."""
        return manifest_name(self.table, self.partition)

    def sealed(self) -> Manifest:
        """The same with its right seal."""
        unsealed = msgspec.json.encode(msgspec.structs.replace(self, seal=""))
        return msgspec.structs.replace(self, seal=hashlib.sha256(unsealed).hexdigest())


def manifest_name(table: str, partition: str) -> str:
    """Where the manifest of a partition is in any store."""
    return f"{table}/{partition}{SUFFIX}"


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Put it into *store*, all at once, in place of an older one."""
    with store.writing(manifest.name) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def read_manifest(store: Store, table: str, partition: str) -> Manifest:
    """
    The manifest of a partition.

    Raises:
        ArchiveError: There is none, or it is not what was written.
    """
    name = manifest_name(table, partition)
    with store.reading(name) as file:
        content = file.read()
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as exc:
        raise _changed(store, name, str(exc)) from exc
    if manifest.format != FORMAT or (manifest.table, manifest.partition) != (table, partition):
        raise _changed(store, name, "it belongs to another partition or to another version")
    if manifest != manifest.sealed() or not manifest.file.startswith(f"{partition}.") or "/" in manifest.file:
        raise _changed(store, name, "its seal is not right")
    return manifest


def read_all(store: Store) -> Iterator[tuple[str, Manifest | ArchiveError]]:
    """Each archived partition by its name, the oldest of each table first: its manifest, or why there is none."""
    for table in PARTITIONED_TABLES:
        for name in store.names(f"{table}/"):
            if name.endswith(SUFFIX):
                partition = name.removeprefix(f"{table}/").removesuffix(SUFFIX)
                try:
                    yield partition, read_manifest(store, table, partition)
                except ArchiveError as exc:
                    yield partition, exc


def find_manifest(store: Store, partition: str) -> Manifest:
    """
    The manifest of a partition by its name alone.

    Raises:
        ArchiveError: There is none, or it is not what was written.
    """
    for table in PARTITIONED_TABLES:
        if manifest_name(table, partition) in store.names(f"{table}/{partition}."):
            return read_manifest(store, table, partition)
    raise ArchiveError(
        f"There is no archive of {partition} in {store.location('')}. Nothing was done. `headhunter logs archive list` "
        "shows those that there are."
    )


def _changed(store: Store, name: str, why: str) -> ArchiveError:
    return ArchiveError(
        f"The manifest {store.location(name)} was changed or damaged ({why}). Nothing was done. Bring it back from a "
        "backup; where the partition is still there, archive it again."
    )
