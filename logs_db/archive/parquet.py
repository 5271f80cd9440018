"""The file of an archived partition: Parquet with zstd, a row group for each piece of rows."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from logs_db.archive.columns import Column
from logs_db.archive.errors import ArchiveError
from logs_db.archive.extra import load
from logs_db.archive.table_rows import parsed, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from logs_db.archive.manifest import Manifest
    from logs_db.archive.store import Store

READ_BYTES: Final = 4 * 1024 * 1024


@dataclass
class Content:
    """What is learned of rows while they pass by."""

    rows: int = 0
    least: int | None = None
    most: int | None = None
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, piece: bytes, table: Any) -> None:
        """Take *piece* into account, and the same rows as a *table*."""
        self._digest.update(piece)
        self.rows += table.num_rows
        arrow = load("pyarrow")
        found = load("pyarrow.compute").min_max(table["created_at"].cast(arrow.int64())).as_py()
        self.least = found["min"] if self.least is None else min(self.least, found["min"])
        self.most = found["max"] if self.most is None else max(self.most, found["max"])

    @property
    def sha256(self) -> str:
        """The digest of all pieces."""
        digest: str = self._digest.hexdigest()
        return digest

    @property
    def bounds(self) -> tuple[str | None, str | None]:
        """The instants of the oldest and of the newest row, as text."""
        return _text(self.least), _text(self.most)


class CountingFile:
    """A file that knows what was written to it.  Arrow asks where it stands, and some stores cannot tell."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        """Write *data* through."""
        piece = bytes(data)
        self._file.write(piece)
        self._digest.update(piece)
        self.bytes += len(piece)
        return len(piece)

    def tell(self) -> int:
        """How many bytes were written."""
        return self.bytes

    def flush(self) -> None:
        """Leave it to the store, which flushes once at the end."""

    @property
    def sha256(self) -> str:
        """The digest of what was written."""
        return self._digest.hexdigest()


def write_file(file: CountingFile, pieces: Iterable[bytes], columns: Sequence[Column]) -> Content:
    """Write all rows to *file*, and return what they are."""
    arrow, parquet = load("pyarrow"), load("pyarrow.parquet")
    schema = arrow.schema([(column.name, column.stored(arrow.array([], column.arrow_type)).type) for column in columns])
    content = Content()
    try:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for piece in pieces:
                table = parsed(piece, columns)
                content.add(piece, table)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
    except arrow.ArrowInvalid as exc:
        raise ArchiveError(f"Its rows cannot be written as Parquet: {exc}. The partition is kept.") from exc
    return content


def read_tables(store: Store, manifest: Manifest) -> Iterator[Any]:
    """
    The rows of an archived partition, a row group at a time.

    Raises:
        ArchiveError: The file is damaged.
    """
    with store.reading(f"{manifest.table}/{manifest.file}") as file, _damage_told(store, manifest):
        source = load("pyarrow.parquet").ParquetFile(file)
        if source.schema_arrow.names != [column.name for column in manifest.columns]:
            raise damaged(store, manifest, "it has other columns than its manifest says")
        for group in range(source.num_row_groups):
            yield source.read_row_group(group)


def texts(table: Any, columns: Sequence[Column], form: Callable[[Column, Any], Any] = Column.travelling) -> bytes:
    """The rows of *table* as lines of CSV: as they came from PostgreSQL, or in another *form*."""
    arrow = load("pyarrow")
    return written(arrow.table({column.name: form(column, table[column.name]) for column in columns}))


def read_digest(store: Store, manifest: Manifest) -> tuple[int, str]:
    """How many bytes the file has, and their SHA-256."""
    digest, size = hashlib.sha256(), 0
    with store.reading(f"{manifest.table}/{manifest.file}") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def damaged(store: Store, manifest: Manifest, why: str) -> ArchiveError:
    """The error that tells that a file is not what was archived."""
    location = store.location(f"{manifest.table}/{manifest.file}")
    return ArchiveError(
        f"The archive's {location} is damaged: {why}. No partition was dropped for it. Bring it back from a backup; "
        "where the partition is still there, archive it again."
    )


@contextmanager
def _damage_told(store: Store, manifest: Manifest) -> Iterator[None]:
    arrow = load("pyarrow")
    try:
        yield
    except (arrow.ArrowException, OSError) as exc:
        raise damaged(store, manifest, str(exc).strip().splitlines()[0]) from exc


def _text(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    arrow = load("pyarrow")
    array = arrow.array([microseconds], arrow.int64())
    instant = Column("", "timestamp with time zone")
    text: str = instant.restored(instant.stored(array))[0].as_py()
    return text
