"""
Checks of an Alembic environment for pytest, on top of pytest-alembic: derive a class, and they are its tests.

    class TestShopMigrations(MigrationChecks):
        environment = ENVIRONMENT
        metadata = ShopBase.metadata

pytest-alembic's two fixtures, `alembic_config` and `alembic_engine`, say how Alembic reaches an empty database whose
name is free to be filled; `migration_server`, a fixture of yours too, is what `create_database(name)` and
`drop_database(name)` are asked of. Parametrise it, and the checks run on each server. This module imports neither
pytest nor pytest-alembic: it needs them installed where it is used.

The chain is walked once a server: up, down and up again, revision by revision, on rows made up from the catalog.
"""

from __future__ import annotations

import secrets
from fnmatch import fnmatch
from typing import TYPE_CHECKING, ClassVar, Protocol

from sqlalchemy import NullPool, create_engine

from migrator.authoring.chain import read_chain
from migrator.authoring.findings import LintRules
from migrator.authoring.lint import lint_revision
from migrator.authoring.seals import broken_seals
from migrator.connections import connect
from migrator.errors import EnvironmentFilesError
from migrator.fingerprint import differences, read_fingerprint, stored_fingerprint
from migrator.pytest_plugin.history_walk import Walk, walk_history
from migrator.urls import engine_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine, MetaData

    from migrator.environment import Environment
    from migrator.fingerprint import Fingerprint
    from migrator.pytest_plugin.history_walk import Runner

_SHOWN = 8


class CheckFailedError(AssertionError):
    """A check of an environment failed; each line says what is wrong and the way out."""


class DatabaseServer(Protocol):
    """Gives databases to fill and drop."""

    def create_database(self, name: str) -> str:
        """Return the URL of the new, empty database *name*."""

    def drop_database(self, name: str) -> None:
        """Drop it."""


class MigrationChecks:
    """
    The checks of one environment.

    Args:
        environment: Whose.
        metadata: What its models describe.
        beyond_models: Patterns, as of a shell, of what the revisions make and models cannot describe, such as
            `trigger public.*`.
        lint_rules: What the rules for revisions have to be told.
        fingerprint_command: What to type to write the fingerprints anew, for the message.
    """

    environment: ClassVar[Environment]
    metadata: ClassVar[MetaData]
    beyond_models: ClassVar[tuple[str, ...]] = ()
    lint_rules: ClassVar[LintRules] = LintRules()
    fingerprint_command: ClassVar[str] = "migrator.fingerprint_files.write_fingerprints(environment, url)"
    _walks: ClassVar[list[tuple[type, DatabaseServer, Walk]]] = []

    def test_the_revisions_are_one_chain_whose_head_head_txt_names(self) -> None:
        """Two heads, a cycle, a missing revision, a conflict in HEAD.txt: each is told with its cure."""
        __tracebackhide__ = True
        try:
            read_chain(self.environment)
        except EnvironmentFilesError as error:
            raise CheckFailedError(str(error)) from None

    def test_landed_revisions_are_what_they_were(self) -> None:
        """History is never edited."""
        __tracebackhide__ = True
        _refuse(broken_seals(read_chain(self.environment)))

    def test_no_revision_breaks_a_rule(self) -> None:
        """Lint has nothing against any revision."""
        __tracebackhide__ = True
        chain = read_chain(self.environment)
        _refuse(str(one) for file in chain.revisions for one in lint_revision(chain, file, self.lint_rules))

    def test_every_revision_runs(
        self, alembic_runner: Runner, alembic_engine: Engine, migration_server: DatabaseServer
    ) -> None:
        """From nothing to the head, down by one and up again after each revision, with rows in every table."""
        __tracebackhide__ = True
        _refuse(self._walk(alembic_runner, alembic_engine, migration_server).broken)

    def test_going_down_leaves_no_trace_and_up_again_makes_the_same(
        self, alembic_runner: Runner, alembic_engine: Engine, migration_server: DatabaseServer
    ) -> None:
        """By the catalog, so that a revision that commits on its own way is seen too."""
        __tracebackhide__ = True
        walk = self._walk(alembic_runner, alembic_engine, migration_server)
        _refuse(walk.traces or _not_to_be_judged(walk))

    def test_no_row_is_lost(
        self, alembic_runner: Runner, alembic_engine: Engine, migration_server: DatabaseServer
    ) -> None:
        """Neither on the way up nor, of tables that were there before, on the way down."""
        __tracebackhide__ = True
        walk = self._walk(alembic_runner, alembic_engine, migration_server)
        _refuse(walk.lost_rows or _not_to_be_judged(walk))

    def test_older_code_works_on_the_newer_schema(
        self, alembic_runner: Runner, alembic_engine: Engine, migration_server: DatabaseServer
    ) -> None:
        """What `compatible_with` promises holds for the reads and writes of each code it speaks of."""
        __tracebackhide__ = True
        walk = self._walk(alembic_runner, alembic_engine, migration_server)
        _refuse(walk.broken_promises or _not_to_be_judged(walk))

    def test_the_stored_fingerprints_are_what_the_revisions_make(
        self, alembic_runner: Runner, alembic_engine: Engine, migration_server: DatabaseServer
    ) -> None:
        """One file a revision, none too many."""
        __tracebackhide__ = True
        walk = self._walk(alembic_runner, alembic_engine, migration_server)
        _refuse(_not_to_be_judged(walk) or self._stale_fingerprints(walk.fingerprints))

    def test_the_models_are_what_the_head_is(
        self, alembic_runner: Runner, alembic_engine: Engine, migration_server: DatabaseServer
    ) -> None:
        """By the catalog of a database that the models made, and by Alembic's own comparison."""
        __tracebackhide__ = True
        walk = self._walk(alembic_runner, alembic_engine, migration_server)
        _refuse(_not_to_be_judged(walk))
        described = self._described(migration_server)
        head = walk.fingerprints[next(reversed(walk.fingerprints))]
        found = [line for line in differences(described, head) if not self._is_beyond_models(line)]
        _refuse(
            f"Models and migrations differ: {line}. Add the revision that is missing, or correct the model."
            for line in [*found, *walk.operations]
        )

    def _walk(self, runner: Runner, engine: Engine, server: DatabaseServer) -> Walk:
        # Kept with the server itself: it need not have a hash, and another one may get the id of one that is gone.
        for checks, walked, known in self._walks:
            if checks is type(self) and walked is server:
                return known
        walk = walk_history(runner, engine, read_chain(self.environment))
        self._walks.append((type(self), server, walk))
        return walk

    def _described(self, server: DatabaseServer) -> Fingerprint:
        name = f"models_{secrets.token_hex(4)}"
        url = server.create_database(name)
        try:
            engine = create_engine(engine_url(url), poolclass=NullPool)
            self.metadata.create_all(engine)
            with connect(url, application_name="migration-checks", autocommit=True) as connection:
                return read_fingerprint(connection, self.environment)
        finally:
            server.drop_database(name)

    def _is_beyond_models(self, line: str) -> bool:
        kind, _, name = line.partition(": ")
        return kind == "unexpected" and any(fnmatch(name, pattern) for pattern in self.beyond_models)

    def _stale_fingerprints(self, made: dict[str, Fingerprint]) -> Iterable[str]:
        cure = f"Write the fingerprints anew: {self.fingerprint_command}."
        folder = self.environment.folder / "fingerprints"
        for name in sorted({path.stem for path in folder.glob("*.json")} - made.keys()):
            yield f"The stored fingerprint {name}.json belongs to no revision. {cure}"
        for revision, fingerprint in made.items():
            try:
                stored = stored_fingerprint(self.environment, revision)
            except EnvironmentFilesError as error:
                yield f"{error} {cure}"
                continue
            if stored != fingerprint:
                lines = "; ".join(differences(stored, fingerprint)[:_SHOWN])
                yield f"The stored fingerprint of revision {revision} is not what the revision makes: {lines}. {cure}"


def _not_to_be_judged(walk: Walk) -> list[str]:
    return [f"This cannot be judged before the chain runs. {sentence}" for sentence in walk.broken]


def _refuse(sentences: Iterable[str]) -> None:
    __tracebackhide__ = True
    found = list(sentences)
    if found:
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise CheckFailedError("\n".join([*found[:_SHOWN], *more]))
