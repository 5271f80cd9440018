"""Reading an archive back: whether its file holds what its manifest says, to the byte and row for row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logs_db.archive.parquet import Content, damaged, read_digest, read_tables, texts

if TYPE_CHECKING:
    from logs_db.archive.manifest import Manifest
    from logs_db.archive.store import Store


def verify(store: Store, manifest: Manifest) -> None:
    """
    Read the whole file of *manifest* back.

    Raises:
        ArchiveError: It cannot be read, or is not what was archived.
    """
    size, sha256 = read_digest(store, manifest)
    if (size, sha256) != (manifest.bytes, manifest.sha256):
        raise damaged(store, manifest, f"it has {size} bytes with another checksum than its manifest says")
    content = Content()
    for table in read_tables(store, manifest):
        content.add(texts(table, manifest.columns), table)
    found = (content.rows, *content.bounds, content.sha256)
    if found != (manifest.rows, manifest.min_created_at, manifest.max_created_at, manifest.content_sha256):
        raise damaged(store, manifest, f"its {content.rows} rows are not those that its manifest describes")
