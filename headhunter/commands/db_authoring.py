"""``headhunter db revision|lint|trace|rebase|sql``: writing revisions, on a server that starts and ends by itself."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headhunter.commands.databases import AsJson, Database, Which, environment_of, print_json
from headhunter.output import print_table

if TYPE_CHECKING:
    from migrator.authoring.chain import Chain, RevisionFile
    from migrator.authoring.findings import LintRules
    from migrator.authoring.lock_trace import TracedStatement
    from migrator.authoring.rehearsal import Rehearsal
    from migrator.authoring.revision import NewRevision
    from migrator.authoring.scratch import Scratch

ScratchFolder = Annotated[
    Path, typer.Option("--scratch", metavar="FOLDER", help="Where the throw-away PostgreSQL lives, kept warm.")
]
Rows = Annotated[int, typer.Option(min=1, help="Rows a table; from 100000 on, clients insert meanwhile.")]
DEFAULT_SCRATCH = Path(".headhunter/scratch")
DEFAULT_ROWS = 1000
# From this number of rows on it is worth seeing how long clients have to wait.
REHEARSED_ROWS = 100_000
_SHOWN_STATEMENTS = 40


def register(app: typer.Typer) -> None:
    """Add the commands to `headhunter db`."""
    for command in (revision, lint, trace, rebase, sql):
        app.command()(command)


def revision(
    database: Which,
    message: Annotated[str, typer.Option("--message", "-m", help="What it does, in the imperative.")],
    why: Annotated[str | None, typer.Option(help="The reason, for the docstring.")] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Write nothing into it; models are not compared.")] = False,
    rows: Rows = DEFAULT_ROWS,
    only_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL alone, nothing of locks.")] = False,
    scratch: ScratchFolder = DEFAULT_SCRATCH,
) -> None:
    """Write what brings the schema to the models as a revision: formatted, linted, run up, down and up on rows."""
    from migrator.authoring.revision import create_revision  # noqa: PLC0415 - Alembic is slow to import

    environment = environment_of(database)
    server = _scratch(scratch)
    made = create_revision(
        environment,
        message,
        server,
        empty=empty,
        rows=min(rows, DEFAULT_ROWS) if rows >= REHEARSED_ROWS else rows,
        why=why,
        rules=lint_rules(database),
    )
    if not made:
        typer.echo(f"The models of {database} are what revision {environment.head} makes; no revision was written.")
        return
    for one in made:
        typer.echo(f"Wrote {_shown(one.file.path)}.")
        _print_judgement(one, rows=rows, only_sql=only_sql)
        if rows >= REHEARSED_ROWS and one.is_sound and not only_sql:
            _rehearse(database, one.file.revision, server, rows)
    typer.echo(f"HEAD.txt is at {made[-1].file.revision}.")
    if not all(one.is_sound for one in made):
        typer.echo(f"Correct it, then: headhunter db trace {database}", err=True)
        raise typer.Exit(1)


def lint(
    database: Which,
    revision_id: Annotated[str | None, typer.Argument(metavar="REVISION", show_default=False)] = None,
    seal: Annotated[bool, typer.Option("--seal", help="Declare all revisions landed: none may change after.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge revisions by squawk's rules and ours, and the history by its seals; ends with 1 where one is broken."""
    from migrator.authoring.chain import read_chain  # noqa: PLC0415 - as above
    from migrator.authoring.lint import lint_environment, lint_revision  # noqa: PLC0415 - as above
    from migrator.authoring.seals import seal as seal_files  # noqa: PLC0415 - as above

    chain = read_chain(environment_of(database))
    if seal:
        seal_files(chain.environment, chain.revisions)
    rules = lint_rules(database)
    if revision_id is None:
        found = lint_environment(chain, rules)
    else:
        found = lint_revision(chain, _file(chain, revision_id), rules)
    if as_json:
        print_json({"database": database, "findings": [asdict(one) for one in found]})
    else:
        typer.echo("\n".join(map(str, found)) or f"Nothing speaks against the revisions of {database}.")
    if found:
        raise typer.Exit(1)


def trace(
    database: Which,
    revision_id: Annotated[str, typer.Argument(metavar="REVISION")] = "head",
    rows: Rows = DEFAULT_ROWS,
    scratch: ScratchFolder = DEFAULT_SCRATCH,
    as_json: AsJson = False,
) -> None:
    """Run a revision up, down and up on rows; show its locks and how long it holds them; ends with 1 where it fails."""
    from migrator.authoring.chain import read_chain  # noqa: PLC0415 - as above
    from migrator.authoring.revision import inspect_revision  # noqa: PLC0415 - as above

    chain = read_chain(environment_of(database))
    file = _file(chain, revision_id)
    server = _scratch(scratch)
    few = min(rows, DEFAULT_ROWS) if rows >= REHEARSED_ROWS else rows
    one = inspect_revision(chain, file.revision, server, rows=few, rules=lint_rules(database))
    if as_json:
        print_json(_as_data(one))
    else:
        _print_judgement(one, rows=rows, only_sql=False)
        if rows >= REHEARSED_ROWS and one.is_sound:
            _rehearse(database, one.file.revision, server, rows)
    if not one.is_sound:
        raise typer.Exit(1)


def rebase(
    database: Which,
    local: Annotated[str | None, typer.Argument(metavar="REVISION", show_default=False)] = None,
    scratch: ScratchFolder = DEFAULT_SCRATCH,
) -> None:
    """Put the revision that has not landed yet on top of the new head, after a conflict in HEAD.txt."""
    from migrator.authoring.chain import read_chain  # noqa: PLC0415 - as above
    from migrator.authoring.rebase import rebase as put_on_top  # noqa: PLC0415 - as above
    from migrator.authoring.revision import inspect_revision  # noqa: PLC0415 - as above

    environment = environment_of(database)
    rebased = put_on_top(environment, local)
    typer.echo(f"{', '.join(rebased.moved)} now stands on {rebased.onto}; HEAD.txt is at {rebased.moved[-1]}.")
    server = _scratch(scratch)
    judged = [
        inspect_revision(read_chain(environment), one, server, rules=lint_rules(database)) for one in rebased.moved
    ]
    for one in judged:
        _print_problems(one)
    if not all(one.is_sound for one in judged):
        raise typer.Exit(1)


def sql(
    database: Which,
    way: Annotated[str, typer.Argument(metavar="FROM:TO", help="Two revisions, or `base` and one.")] = "base:head",
) -> None:
    """Print the SQL script that brings a database from one revision to another, for those who run it by hand."""
    from migrator.authoring.chain import read_chain  # noqa: PLC0415 - as above
    from migrator.authoring.offline_sql import whole_sql  # noqa: PLC0415 - as above

    chain = read_chain(environment_of(database))
    start, separator, end = way.partition(":")
    if not separator:
        raise typer.BadParameter(f"{way} is not of the form FROM:TO, as base:head.")
    names = [one if one == "base" else _file(chain, one).revision for one in (start, end)]
    typer.echo(whole_sql(chain, names[0], names[1]), nl=False)


def lint_rules(database: Database) -> "LintRules":
    """Return what lint has to know of *database*: the other one's tables."""
    from migrator.authoring.findings import LintRules  # noqa: PLC0415 - as above

    if database is Database.MAIN:
        from logs_db.models import LogsBase  # noqa: PLC0415 - one database knows nothing of the other

        return LintRules(frozenset(LogsBase.metadata.tables))
    from main_db.models import MainBase  # noqa: PLC0415 - likewise

    return LintRules(frozenset(MainBase.metadata.tables))


def _file(chain: "Chain", name: str) -> "RevisionFile":
    from migrator.errors import EnvironmentFilesError  # noqa: PLC0415 - as above

    try:
        return chain.get(name)
    except EnvironmentFilesError as error:
        raise typer.BadParameter(str(error)) from None


def _scratch(folder: Path) -> "Scratch":
    from migrator.authoring.scratch import reach_scratch  # noqa: PLC0415 - as above

    logging.getLogger("alembic").setLevel(logging.WARNING)
    return reach_scratch(folder)


def _print_judgement(one: "NewRevision", *, rows: int, only_sql: bool) -> None:
    typer.echo(f"\nSQL of {one.file.revision}:\n\n{one.sql.strip() or '-- nothing'}\n")
    if not only_sql:
        _print_locks(one.trip.statements)
        down = "" if one.trip.down_ms is None else f", down in {one.trip.down_ms:.0f} ms, up again"
        few = min(rows, DEFAULT_ROWS) if rows >= REHEARSED_ROWS else rows
        typer.echo(f"\nRun on {few:,} rows a table: up in {one.trip.up_ms:.0f} ms{down}.")
        for table in one.trip.seeded:
            if table.reason:
                typer.echo(f"  {table.table} stayed empty: {table.reason}.")
    _print_problems(one)


def _print_problems(one: "NewRevision") -> None:
    for problem in [*one.problems, *one.trip.problems]:
        typer.echo(f"{one.file.revision}: {problem}")
    for finding in one.findings:
        typer.echo(str(finding))


def _print_locks(statements: "list[TracedStatement]") -> None:
    from migrator.authoring.findings import shortened  # noqa: PLC0415 - as above
    from migrator.authoring.lock_trace import strongest_locks  # noqa: PLC0415 - as above

    rows = [
        (
            shortened(statement.text, 60),
            f"{statement.duration_ms:.1f}",
            "; ".join(map(str, strongest_locks([statement]))) or "-",
            ", ".join(statement.rewrites),
        )
        for statement in statements[:_SHOWN_STATEMENTS]
    ]
    print_table(("statement", "ms", "locks that it takes, until they are free", "rewrites"), rows)
    if len(statements) > _SHOWN_STATEMENTS:
        typer.echo(f"... and {len(statements) - _SHOWN_STATEMENTS} statements more.")
    typer.echo(
        "In all: " + ("; ".join(map(str, strongest_locks(statements))) or "no lock that anybody waits for") + "."
    )


def _rehearse(database: Database, revision_id: str, server: "Scratch", rows: int) -> None:
    from migrator.authoring.chain import read_chain  # noqa: PLC0415 - as above
    from migrator.authoring.offline_sql import upgrade_sql  # noqa: PLC0415 - as above
    from migrator.authoring.rehearsal import rehearse  # noqa: PLC0415 - as above

    chain = read_chain(environment_of(database))
    file = chain.get(revision_id)
    seen: Rehearsal = rehearse(server, chain, file, rows, upgrade_sql(chain.environment, file))
    typer.echo(f"\nRehearsed with clients inserting: up in {seen.seconds:.1f} s.")
    print_table(
        ("table", "rows", "inserts", "longest insert, ms", "before, ms", "errors"),
        [
            (
                one.table,
                f"{one.rows:,}",
                f"{one.inserts:,}",
                f"{one.longest_ms:.0f}",
                f"{one.usual_ms:.0f}",
                "; ".join(one.errors),
            )
            for one in seen.stalls
        ],
    )
    _print_locks(seen.trip.statements)
    for problem in seen.trip.problems:
        typer.echo(problem)
    if seen.trip.problems:
        raise typer.Exit(1)


def _as_data(one: "NewRevision") -> dict[str, Any]:
    return {
        "revision": one.file.revision,
        "sql": one.sql,
        "up_ms": one.trip.up_ms,
        "down_ms": one.trip.down_ms,
        "seeded": [asdict(table) for table in one.trip.seeded],
        "statements": [asdict(statement) for statement in one.trip.statements],
        "findings": [asdict(finding) for finding in one.findings],
        "problems": [*one.problems, *one.trip.problems],
    }


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
