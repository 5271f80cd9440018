"""Going back: by hand only, under the same lock, and never losing data without consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command

from migrator.bookkeeping import record_failure
from migrator.budgets import Budgets
from migrator.classifier import ErrorClass, classify, sentence
from migrator.configuration import alembic_config
from migrator.errors import MigratorError, PermanentError, TemporaryError
from migrator.probe import Probe, probe, refuse_unusable
from migrator.progress import Progress
from migrator.reach import Server

if TYPE_CHECKING:
    import psycopg

    from migrator.environment import Environment

DEFAULT_BUDGETS = Budgets()


def downgrade(
    environment: Environment,
    url: str,
    target: str,
    *,
    lose_data: bool = False,
    budgets: Budgets = DEFAULT_BUDGETS,
    application_name: str | None = None,
) -> Probe:
    """
    Run downgrades until the database is at *target*, a revision, `base` or a step such as `-1`; return where it is.

    Raises:
        DataLossRefusedError: A revision would lose data and *lose_data* is false; what was undone before it stays so.
        TemporaryError: A peer, a lock or the server stood in the way; try again.
        PermanentError: Anything else.
    """
    name = application_name or f"migrator:{environment.name}"
    server = Server(environment.name, url, budgets, name)

    def look(connection: psycopg.Connection) -> Probe:
        return probe(connection, environment)

    refuse_unusable(environment, server.ask(look))
    progress = Progress()
    config = alembic_config(
        environment, url=url, lose_data=lose_data, budgets=budgets, progress=progress, application_name=name
    )
    try:
        command.downgrade(config, target)
    except MigratorError as error:
        record_failure(server.connect_once, environment, progress, error)
        raise
    except Exception as error:
        record_failure(server.connect_once, environment, progress, error)
        what = f"Undoing revision {progress.revision}" if progress.revision else f"The downgrade to {target}"
        kind = PermanentError if classify(error) is ErrorClass.PERMANENT else TemporaryError
        raise kind(
            f"{what} of the {environment.name} database failed: {sentence(error)}. "
            f"The database stays at {server.ask(look).revision or 'no revision'}."
        ) from error
    return server.ask(look)
