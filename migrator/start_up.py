"""What a start-up does when the database is not at head: lock, look again, adopt, run revisions, look once more."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from migrator.classifier import ErrorClass, classify, sentence
from migrator.errors import LockLostError, MigratorError, PermanentError, TemporaryError, VersionMovedError
from migrator.identity import same_database
from migrator.invalid_indexes import refuse_invalid_indexes
from migrator.lock import MigrationLock
from migrator.probe import Probe, Verdict, probe, refuse_unusable
from migrator.progress import Progress
from migrator.rights import may_migrate
from migrator.urls import without_password

if TYPE_CHECKING:
    from migrator.environment import Environment
    from migrator.lock import LockProof
    from migrator.older_code import RunningRevisions
    from migrator.reach import Server

logger = logging.getLogger(__name__)

_WAIT_FOR_HEAD_SECONDS = 1.0


class StartUp:
    """
    One process's way from a database that is not at head to one that is.

    Args:
        environment: Whose revisions.
        server: How the process reaches the database later.
        ddl_server: How it reaches it to change it.
        running_revisions: Tells which code runs on the database now; None: nobody is asked.
    """

    def __init__(
        self,
        environment: Environment,
        server: Server,
        ddl_server: Server,
        running_revisions: RunningRevisions | None = None,
    ) -> None:
        self._running_revisions = running_revisions
        self._environment = environment
        self._server = server
        self._ddl_server = ddl_server
        self._budgets = server.budgets
        self._peer_deadline = time.monotonic() + server.budgets.peer_seconds
        self._progress = Progress()
        self._failures: Counter[tuple[ErrorClass, str | None]] = Counter()
        self.adopted_at: str | None = None

    def run(self) -> Probe:
        """
        Return what the database says of itself once it is usable.

        Raises:
            TemporaryError, PermanentError: As `upgrade_to_head`.
        """
        self._refuse_two_databases()
        if not self._ddl_server.ask(lambda connection: may_migrate(connection, self._environment)):
            return self._await_head()
        while True:
            found = self._probe()
            if found.verdict.is_usable:
                return found
            try:
                self._migrate_alone()
            except Exception as error:  # noqa: BLE001 - a revision is code of others; what it raises is classified
                self._judge(error, found)

    def _refuse_two_databases(self) -> None:
        """Return if what is changed is what is used later: else the one would be migrated, the other never."""
        if self._ddl_server.url == self._server.url:
            return
        with closing(self._server.connect(autocommit=True)) as used:
            if self._ddl_server.ask(lambda changed: same_database(changed, used)):
                return
        variables = (self._environment.direct_url_variable, self._environment.url_variables[-1])
        raise PermanentError(
            f"The URLs for changing the {self._environment.name} database and for using it lead to two databases, "
            f"{without_password(self._ddl_server.url)} and {without_password(self._server.url)}. Nothing was changed. "
            f"Correct {' or '.join(variable for variable in variables if variable)}."
        )

    def _probe(self) -> Probe:
        found = self._ddl_server.ask(lambda connection: probe(connection, self._environment))
        refuse_unusable(self._environment, found)
        return found

    def _await_head(self) -> Probe:
        logger.info(
            "this role may not change the schema; waiting for somebody else to bring it to head",
            extra={"event": "head_awaited", "environment": self._environment.name, "head": self._environment.head},
        )
        while True:
            found = self._server.ask(lambda connection: probe(connection, self._environment))
            refuse_unusable(self._environment, found)
            if found.verdict.is_usable:
                return found
            if time.monotonic() >= self._peer_deadline:
                raise TemporaryError(
                    f"The {self._environment.name} database is at {found.revision or 'no revision'}, this code needs "
                    f"{self._environment.head}, the role may not change the schema, and nobody else did within "
                    f"{self._budgets.peer_seconds:g} s. Nothing was changed. Have it migrated, then start again."
                )
            time.sleep(_WAIT_FOR_HEAD_SECONDS)

    def _migrate_alone(self) -> None:
        with closing(self._ddl_server.connect()) as connection, MigrationLock(connection, self._environment) as lock:
            asked = time.monotonic()
            is_ours = lock.take(
                self._budgets.peer_seconds,
                deadline=self._peer_deadline,
                gone_on=lambda: self._probe().verdict.is_usable,
            )
            self._progress.lock_waited_seconds = time.monotonic() - asked
            if is_ours:
                self._migrate(lock.proof)

    def _migrate(self, proof: LockProof) -> None:
        found = self._probe()
        if found.verdict.is_usable:
            return
        # Only who holds the lock wants Alembic, whose import takes longer than most of the waiting.
        from migrator.adoption import adopt  # noqa: PLC0415 - as said
        from migrator.older_code import await_older_code  # noqa: PLC0415 - as said
        from migrator.runner import run_revisions  # noqa: PLC0415 - as said

        started = time.monotonic()
        if found.verdict is Verdict.UNVERSIONED:
            self.adopted_at = adopt(self._environment, self._ddl_server, proof)
        if self._running_revisions is not None:
            await_older_code(
                self._environment,
                self.adopted_at or found.revision,
                self._running_revisions,
                deadline=self._peer_deadline,
                budget_seconds=self._budgets.peer_seconds,
            )
        run_revisions(self._environment, self._ddl_server, proof, self._progress)
        reached = self._probe()
        if reached.verdict is not Verdict.AT_HEAD:
            raise PermanentError(
                f"All revisions of the {self._environment.name} database ran, but it is at "
                f"{reached.revision or 'no revision'} and not at {self._environment.head}. Somebody else moves it."
            )
        self._ddl_server.ask(lambda connection: refuse_invalid_indexes(connection, self._environment))
        logger.info(
            "the schema was brought to head",
            extra={
                "event": "schema_upgraded",
                "environment": self._environment.name,
                "from_revision": found.revision or "base",
                "to_revision": reached.revision,
                "duration_ms": round((time.monotonic() - started) * 1000),
            },
        )

    def _judge(self, error: Exception, found: Probe) -> None:
        """Return if it is right to begin again with a look at the database, else raise what ends the start-up."""
        kind = classify(error)
        if isinstance(error, MigratorError) and not isinstance(error, LockLostError | VersionMovedError):
            raise error
        moved = self._probe().revision != found.revision
        key = (kind, found.revision)
        self._failures[key] += 1
        begins_again = kind in {ErrorClass.CONNECT_TRANSIENT, ErrorClass.PEER} or (
            kind in {ErrorClass.LOST_RACE, ErrorClass.AHEAD} and moved
        )
        if not begins_again:
            raise self._permanent(error) from error
        if not moved and self._failures[key] >= self._budgets.connect_attempts:
            raise TemporaryError(
                f"The {self._environment.name} database could not be brought to head: {sentence(error)}, "
                f"{self._failures[key]} times over. It stays at {found.revision or 'no revision'}. Try again later."
            ) from error
        logger.warning(
            "migrating was interrupted; beginning again where it stands",
            extra={
                "event": "migration_interrupted",
                "environment": self._environment.name,
                "revision": self._progress.revision,
                "reason": sentence(error),
            },
        )
        if not moved:
            time.sleep(self._budgets.connect_delay_seconds)

    def _permanent(self, error: Exception) -> PermanentError:
        what = f"Revision {self._progress.revision}" if self._progress.revision else "Migrating"
        kept = (
            "It works outside a transaction, so part of it may be done"
            if self._progress.outside_transaction
            else "It was rolled back"
        )
        at = self._probe().revision or "no revision"
        return PermanentError(
            f"{what} of the {self._environment.name} database failed: {sentence(error)}. {kept}; the database stays "
            f"at {at}. Trying again will not help: correct the cause first."
        )
