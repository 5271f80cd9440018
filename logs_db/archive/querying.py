"""
Asking archived rows by SQL, without a database: DuckDB reads the Parquet files where they are.

It sees a view for each log table that has an archive, and nothing else: no file, no network, no setting can be reached
from a statement.  Rows are as they were archived; those that are still in the database are not among them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from logs_db.archive.errors import ArchiveError
from logs_db.archive.extra import load
from logs_db.archive.manifest import read_all

if TYPE_CHECKING:
    from logs_db.archive.manifest import Manifest
    from logs_db.archive.store import Store

_READING: Final = {"SELECT", "EXPLAIN"}
_CLOSED: Final = (
    "SET TimeZone = 'UTC'",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_NUMERIC: Final = "TRY_CAST({name} AS DECIMAL(38, 12)) AS {name}"
"""Archives keep numeric as text, each of its zeros; sums want numbers."""


def ask(store: Store, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """
    Answer one statement that reads, in DuckDB's dialect; ``system_logs`` and its kin are what is archived of them.

    Returns:
        The names of the columns, and the rows.

    Raises:
        ArchiveError: A manifest is damaged, DuckDB is not installed, or the statement is wrong or does not read.
    """
    duckdb = load("duckdb")
    with duckdb.connect(":memory:") as connection:
        for table, manifests in _by_table(store).items():
            _show(connection, store, table, manifests)
        for setting in _CLOSED:
            connection.execute(setting)
        try:
            parts = connection.extract_statements(statement)
            if [part.type.name for part in parts] not in [[kind] for kind in _READING]:
                raise ArchiveError("Archives are only read: write one SELECT. Nothing was done.")
            answer = connection.execute(parts[0])
            return [column[0] for column in answer.description], answer.fetchall()
        except duckdb.Error as exc:
            raise ArchiveError(f"DuckDB cannot answer that: {exc}") from exc


def _by_table(store: Store) -> dict[str, list[Manifest]]:
    manifests: defaultdict[str, list[Manifest]] = defaultdict(list)
    for _, found in read_all(store):
        if isinstance(found, ArchiveError):
            raise found
        manifests[found.table].append(found)
    return manifests


def _show(connection: Any, store: Store, table: str, manifests: list[Manifest]) -> None:
    """Let *connection* see all that is archived of *table*, whatever columns it had at the time."""
    arrow, dataset = load("pyarrow"), load("pyarrow.dataset")
    paths, filesystem = store.arrow_paths([f"{table}/{manifest.file}" for manifest in manifests])
    try:
        files = [dataset.dataset(path, format="parquet", filesystem=filesystem) for path in paths]
    except (arrow.ArrowException, OSError) as exc:
        raise ArchiveError(f"A file of {table} cannot be read: {exc}. Run `headhunter logs archive verify`.") from exc
    schema = arrow.unify_schemas([file.schema for file in files])
    numeric = {column.name for manifest in manifests for column in manifest.columns if column.type == "numeric"}
    shown = [_NUMERIC.format(name=_quoted(name)) if name in numeric else _quoted(name) for name in schema.names]
    connection.from_arrow(dataset.dataset(files, schema=schema)).project(", ".join(shown)).create_view(table)


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
