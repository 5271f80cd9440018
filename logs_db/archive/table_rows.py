"""All rows of a partition in the order of their key, as lines of CSV, a bounded piece at a time."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString

from psycopg import sql

from logs_db.archive.errors import ArchiveError
from logs_db.archive.extra import load

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import psycopg

    from logs_db.archive.columns import Column
    from migrator.partitioning import Relation

PIECE_ROWS: Final = 65_536
PIECE_BYTES: Final = 16 * 1024 * 1024
"""A piece ends with the row that reaches one of the two; it is what memory holds, and a row group of the file."""

_COPY: LiteralString = """
COPY (SELECT {columns} FROM ONLY {table} ORDER BY created_at, id) TO STDOUT (FORMAT csv, FORCE_QUOTE *)
"""


def read_pieces(
    connection: psycopg.Connection[Any],
    relation: Relation,
    columns: Sequence[Column],
    stop: threading.Event | None = None,
) -> Generator[bytes, None, None]:
    """
    The rows of *relation* as of one moment, in pieces that end with a row.

    Raises:
        ArchiveError: *stop* was set.
    """
    selected = sql.SQL(", ").join(column.selected for column in columns)
    statement = sql.SQL(_COPY).format(columns=selected, table=relation.identifier)
    # Source: PostgreSQL, message formats, CopyData: each message from the server is one row.
    piece, size = [], 0
    with unhurried(connection), connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in copy:
            piece.append(row)
            size += len(row)
            if len(piece) >= PIECE_ROWS or size >= PIECE_BYTES:
                yield b"".join(piece)
                piece, size = [], 0
                if stop is not None and stop.is_set():
                    raise ArchiveError(f"The archiving of {relation.name} was told to stop. The partition is kept.")
    if piece:
        yield b"".join(piece)


@contextmanager
def unhurried(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction without the time-out that its role may have for statements: a large day takes its time."""
    with connection.transaction():
        connection.execute("SELECT pg_catalog.set_config('statement_timeout', '0', true)")
        yield


def digest_of(pieces: Iterable[bytes]) -> str:
    """The SHA-256 of all *pieces*, in hexadecimal digits: the same for the same rows, wherever they are read from."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def parsed(piece: bytes, columns: Sequence[Column]) -> Any:
    """The rows of *piece* as an Arrow table, as Parquet keeps them."""
    arrow, csv = load("pyarrow"), load("pyarrow.csv")
    table = csv.read_csv(
        arrow.BufferReader(piece),
        read_options=csv.ReadOptions(column_names=[column.name for column in columns], block_size=len(piece) + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={column.name: column.arrow_type for column in columns},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
        ),
    )
    return arrow.table({column.name: column.stored(table[column.name]) for column in columns})


def written(table: Any) -> bytes:
    """The rows of a table of texts as lines of CSV, written as PostgreSQL writes them."""
    arrow, csv = load("pyarrow"), load("pyarrow.csv")
    sink = arrow.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    piece: bytes = sink.getvalue().to_pybytes()
    return piece
