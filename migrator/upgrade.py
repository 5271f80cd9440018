"""
The start of a process that needs a database at its head: look, and only if there is work to do, do it.

Nothing here imports Alembic: a start at head costs one connection and one round trip.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.budgets import Budgets
from migrator.probe import Probe, probe
from migrator.reach import Server
from migrator.start_up import StartUp

if TYPE_CHECKING:
    from migrator.environment import Environment
    from migrator.older_code import RunningRevisions

DEFAULT_BUDGETS = Budgets()


@dataclass(frozen=True)
class UpgradeResult:
    """
    What a start-up found and left.

    Args:
        before: What the first look saw.
        after: What the database is at now; usable.
        adopted_at: The revision that a database with tables but without a revision was proven to be at.
        seconds: How long it all took.
    """

    before: Probe
    after: Probe
    adopted_at: str | None
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether the database moved meanwhile, by this process or by a peer that it waited for."""
        return self.before != self.after


def upgrade_to_head(
    environment: Environment,
    url: str,
    *,
    ddl_url: str | None = None,
    budgets: Budgets = DEFAULT_BUDGETS,
    application_name: str | None = None,
    running_revisions: RunningRevisions | None = None,
) -> UpgradeResult:
    """
    Return once the database is usable by this code: at its head, or ahead of it and declared compatible.

    Whoever comes first migrates, one transaction a revision; the others wait for it. Alembic's commands are not
    thread-safe: never upgrade two databases in two threads of one process.

    Args:
        environment: Whose revisions.
        url: How this process reaches the database.
        ddl_url: How to reach it for changing it, where that differs: past a pooler, as the tables' owner.
        budgets: How long to wait for the server, for peers and for locks.
        application_name: How the server's own views show this process.
        running_revisions: Tells the heads of the code that runs on the database now, or raises TemporaryError. Asked
            only before a revision that shuts older code out: such programs are waited for, as long as for peers.

    Raises:
        TemporaryError: A budget was spent; try again later.
        PermanentError: Trying again will not help. What was committed is kept, and the message says what to do.
    """
    started = time.monotonic()
    name = application_name or f"migrator:{environment.name}"
    server = Server(environment.name, url, budgets, name)
    before = server.ask(lambda connection: probe(connection, environment))
    adopted_at = None
    after = before
    if not before.verdict.is_usable:
        start_up = StartUp(
            environment, server, Server(environment.name, ddl_url or url, budgets, name), running_revisions
        )
        after = start_up.run()
        adopted_at = start_up.adopted_at
    return UpgradeResult(before, after, adopted_at, time.monotonic() - started)
