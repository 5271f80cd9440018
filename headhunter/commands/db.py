"""``headhunter db``: what an operator asks of the two databases' schemas, and does to them, by hand."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar

import psycopg
import typer

from headhunter.commands import db_authoring
from headhunter.commands.databases import AsJson, Database, Which, environment_of, print_json
from headhunter.console import set_up_logging
from headhunter.database_settings import DatabaseSettings
from headhunter.output import print_table
from migrator.budgets import Budgets
from migrator.environment import Environment
from migrator.errors import DataLossRefusedError
from migrator.reach import Server

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look after the schemas of the two databases.")


@dataclass(frozen=True)
class Target:
    """One database as a command works on it."""

    environment: Environment
    url: str
    budgets: Budgets

    @property
    def application_name(self) -> str:
        """How the server's own views show this command."""
        return f"headhunter-db-{self.environment.name}"

    def ask(self, question: Callable[[psycopg.Connection[Any], Environment], T]) -> T:
        """Return the answer of *question*; a server that is away is told at once, people can try again themselves."""
        budgets = replace(self.budgets, connect_attempts=1)
        server = Server(self.environment.name, self.url, budgets, self.application_name)
        return server.ask(lambda connection: question(connection, self.environment))


@app.command()
def status(
    database: Annotated[Database | None, typer.Argument(metavar="[main|logs]", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show the state of a database, or of both: what to do, what is pending, who is migrating, what is broken."""
    from headhunter.commands.db_status import show_states  # noqa: PLC0415 - Alembic is slow to import
    from migrator.state import State, read_state  # noqa: PLC0415 - as above

    targets = {name: _target(name) for name in ([database] if database else Database)}
    states = {str(name): read_state(target.environment, target.url) for name, target in targets.items()}
    size = None
    if database is Database.LOGS and states[str(database)].state is not State.UNREACHABLE:
        from headhunter.commands.db_size import ask_size  # noqa: PLC0415 - as above

        size = targets[database].ask(lambda connection, _: ask_size(connection))
    show_states(states, single=database is not None, as_json=as_json, size=size)


@app.command()
def history(
    database: Which,
    moves: Annotated[bool, typer.Option("--moves", help="List all that was done, failures too, by time.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the revisions, oldest first, and when each came into the database."""
    from headhunter.commands.db_status import show_chain, show_moves  # noqa: PLC0415 - as above
    from migrator.status import read_history, read_moves  # noqa: PLC0415 - as above

    target = _target(database)
    if moves:
        done = target.ask(read_moves)
        print_json([asdict(one) for one in done]) if as_json else show_moves(done)
        return
    chain = target.ask(read_history)
    print_json([asdict(one) for one in chain]) if as_json else show_chain(chain)


@app.command()
def upgrade(database: Which, as_json: AsJson = False) -> None:
    """Bring the schema to the head of this code; does nothing where it is there, waits where a peer is at it."""
    from migrator.upgrade import upgrade_to_head  # noqa: PLC0415 - as above

    _set_up_logging()
    target = _target(database)
    result = upgrade_to_head(
        target.environment,
        target.url,
        budgets=target.budgets,
        application_name=target.application_name,
        running_revisions=_running_revisions(database),
    )
    if as_json:
        print_json(asdict(result))
        return
    adopted = f"; it was taken over at {result.adopted_at}" if result.adopted_at else ""
    moved = f"is now at {result.after.revision}" if result.changed else f"was at {result.after.revision} already"
    typer.echo(f"The {database} database {moved}{adopted}.")


# Else the parser takes -1 for an option; what is neither is refused below, or as an argument too many.
@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    database: Which,
    target_revision: Annotated[str, typer.Argument(metavar="REVISION", help="A revision, `base`, or -N steps.")],
    lose_data: Annotated[bool, typer.Option("--lose-data", help="Consent to what cannot be had back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the schema back to an older revision. What would lose data is refused without --lose-data."""
    from migrator.downgrade import downgrade as go_down  # noqa: PLC0415 - as above

    _set_up_logging()
    target = _target(database)
    known = target.environment.known_revisions
    if not (target_revision in {*known, "base"} or (target_revision[:1] == "-" and target_revision[1:].isdigit())):
        raise typer.BadParameter(f"{target_revision} is no revision of {database}, nor `base`, nor -N.")
    try:
        after = go_down(
            target.environment,
            target.url,
            target_revision,
            lose_data=lose_data,
            budgets=target.budgets,
            application_name=target.application_name,
        )
    except DataLossRefusedError as error:
        raise DataLossRefusedError(error.what, "add --lose-data.") from None
    if as_json:
        print_json(asdict(after))
        return
    typer.echo(f"The {database} database is now at {after.revision or 'no revision'}.")


@app.command()
def check(database: Which, as_json: AsJson = False) -> None:
    """Compare the schema with what its own revision makes; ends with 1 where it drifted."""
    from migrator.drift import read_drift  # noqa: PLC0415 - as above

    drift = _target(database).ask(read_drift)
    if as_json:
        print_json({"database": database, "differences": drift})
    else:
        typer.echo("\n".join(drift) or f"The {database} database is exactly what its revision makes.")
    if drift:
        raise typer.Exit(1)


@app.command()
def maintain(database: Which, as_json: AsJson = False) -> None:
    """Do one pass of maintenance, as the workers do by themselves: for cron, or where no worker runs."""
    if database is not Database.LOGS:
        raise typer.BadParameter("only the logs database has partitions to maintain.")
    from logs_db.partitions import maintain as run_pass  # noqa: PLC0415 - as above

    _set_up_logging()
    report = _target(database).ask(lambda connection, _: run_pass(connection))
    if as_json:
        print_json(asdict(report))
        return
    rows = {name.replace("_", " "): _told(value) for name, value in asdict(report).items()}
    print_table(("maintenance", "logs"), rows.items())


@app.command()
def fingerprint(database: Which) -> None:
    """Write the fingerprint files of all revisions anew, from a throw-away server: once a revision was added."""
    from migrator.fingerprint_files import write_fingerprints  # noqa: PLC0415 - as above
    from servers.postgres import PostgresServer  # noqa: PLC0415 - as above

    with (
        TemporaryDirectory(prefix="headhunter-fingerprint-") as folder,
        PostgresServer.start(Path(folder), durable=False) as server,
    ):
        changed = write_fingerprints(environment_of(database), server.create_database(database))
    typer.echo("\n".join(str(path) for path in changed) or "All fingerprints are as they were.")


# Those who write revisions come after those who run them.
db_authoring.register(app)


def _target(database: Database) -> Target:
    environment = environment_of(database)
    settings = DatabaseSettings()
    url = settings.url(database)
    if url is None:
        names = " or ".join(reversed(environment.url_variables))
        typer.echo(f"headhunter: {names} is not set; `make up` writes it to .headhunter/stack.env.", err=True)
        raise typer.Exit(2)
    return Target(environment, url, settings.budgets(database))


def _running_revisions(database: Database) -> Callable[[], set[str]] | None:
    """Tell which code the workers run; None where that says nothing, or REDIS_URL is not set."""
    redis_url = DatabaseSettings().redis_url
    if database is not Database.LOGS or redis_url is None:
        return None
    from log_events.event_queue import EventQueue  # noqa: PLC0415 - as above
    from worker.peers import running_heads  # noqa: PLC0415 - as above
    from worker.redis_connection import connect_redis  # noqa: PLC0415 - as above

    return running_heads(EventQueue(connect_redis(redis_url.get_secret_value())))


def _set_up_logging() -> None:
    set_up_logging()
    # Its lines say what ours say too, and which of its plugins it loaded.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _told(value: object) -> object:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else value
