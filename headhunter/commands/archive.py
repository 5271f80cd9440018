"""``headhunter logs archive``: days of the log tables as Parquet files, made, listed, verified, restored, asked."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import psycopg
import typer

from headhunter.commands.databases import AsJson, print_json
from headhunter.faults import WRONG_USAGE
from headhunter.logs_stores import logs_connection
from headhunter.output import print_table
from logs_db.archive import archiving, querying, restoring
from logs_db.archive.errors import ArchiveError
from logs_db.archive.manifest import Manifest, find_manifest, read_all
from logs_db.archive.store import Store, open_store
from logs_db.archive.verification import verify
from logs_db.detachment import Detached, read_detached
from logs_db.partitions import PARTITIONED_TABLES, list_partitions, server_time
from logs_db.retention_settings import RetentionSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Days of the log tables as Parquet files.")

TITLES = ("partition", "rows", "bytes", "file")
Partition = Annotated[str, typer.Argument(help="The name of a partition, for example system_logs_2026_11_02.")]
Partitions = Annotated[
    list[str] | None, typer.Argument(metavar="PARTITION...", help="These; else all.", show_default=False)
]


@app.command("create")
def create_archive(partition: Partition, as_json: AsJson = False) -> None:
    """Archive a past day now and read it back; nothing is dropped by that."""
    store = _store()
    with logs_connection() as connection:
        manifest = archiving.archive(connection, store, _found(connection, partition))
    _show(store, [manifest], as_json=as_json)


@app.command("list")
def list_archives(as_json: AsJson = False) -> None:
    """List what is archived, by the manifests alone; exit 1 where one was changed or damaged."""
    store = _store()
    found = [manifest for _, manifest in read_all(store)]
    _show(store, [each for each in found if isinstance(each, Manifest)], as_json=as_json)
    _complain(each for each in found if isinstance(each, ArchiveError))


@app.command("verify")
def verify_archives(partitions: Partitions = None, as_json: AsJson = False) -> None:
    """Read archives back and hold each row against what was archived; exit 1 where one is damaged."""
    store = _store()
    errors: dict[str, ArchiveError | None] = {}
    for name, found in [(name, find_manifest(store, name)) for name in partitions or []] or read_all(store):
        errors[name] = found if isinstance(found, ArchiveError) else _fault_of(store, found)
    if as_json:
        print_json({name: None if error is None else str(error) for name, error in errors.items()})
    else:
        sound = sum(error is None for error in errors.values())
        typer.echo(f"{sound} of {len(errors)} archives hold what was archived.")
    _complain(error for error in errors.values() if error is not None)


@app.command("restore")
def restore_archive(
    partition: Partition,
    into: Annotated[
        str | None, typer.Option(metavar="TABLE", help="A new table; else restored_ and the partition's name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put an archived day back, into a new table beside the log tables; over an existing one it is refused."""
    store = _store()
    manifest = find_manifest(store, partition)
    with logs_connection() as connection:
        relation = restoring.restore(connection, store, manifest, into)
    if as_json:
        print_json({"table": relation.name, "rows": manifest.rows})
    else:
        typer.echo(
            f"{manifest.rows} rows are in {relation}, just as they were archived. Drop it when you are done: "
            "`headhunter db check logs` calls it a table that the schema does not know."
        )


@app.command("query")
def query_archives(
    statement: Annotated[str, typer.Argument(help="One SELECT over system_logs, llm_logs and llm_payloads.")],
    as_json: AsJson = False,
) -> None:
    """Ask archived rows by SQL, in DuckDB's dialect, without any database; what is not archived yet is not seen."""
    titles, rows = querying.ask(_store(), statement)
    if as_json:
        print_json([dict(zip(titles, row, strict=True)) for row in rows])
    else:
        print_table(titles, rows)


def _store() -> Store:
    url = RetentionSettings().log_archive_url
    if url is None:
        typer.echo("LOG_ARCHIVE_URL is not set; give it a folder, or s3://bucket/prefix.", err=True)
        raise typer.Exit(WRONG_USAGE)
    return open_store(url)


def _found(connection: psycopg.Connection[Any], name: str) -> Detached:
    """The partition of that name, all of which lies in the past."""
    now = server_time(connection)
    attached = [
        Detached(table, each.name, each.lower, each.upper)
        for table in PARTITIONED_TABLES
        for each in list_partitions(connection, table)
        if each.upper is not None and each.upper <= now
    ]
    for each in [*attached, *read_detached(connection)]:
        if each.name == name:
            return each
    raise typer.BadParameter(f"{name} is no partition of a log table, or its time is not over yet.")


def _fault_of(store: Store, manifest: Manifest) -> ArchiveError | None:
    try:
        verify(store, manifest)
    except ArchiveError as exc:
        return exc
    return None


def _show(store: Store, manifests: list[Manifest], *, as_json: bool) -> None:
    if as_json:
        print_json([msgspec.to_builtins(each) for each in manifests])
        return
    print_table(TITLES, [(each.partition, each.rows, each.bytes, each.file) for each in manifests])
    typer.echo(f"They are in {store.location('')}.")


def _complain(errors: Iterable[ArchiveError]) -> None:
    told = [str(error) for error in errors]
    for sentence in told:
        typer.echo(sentence, err=True)
    if told:
        raise typer.Exit(1)
