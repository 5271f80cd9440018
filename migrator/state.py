"""The state of one database in one word, for whoever looks from outside: one call that never raises."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg

from migrator.bounded_connection import BoundedConnection
from migrator.classifier import sentence
from migrator.errors import MigratorError
from migrator.fingerprint import Fingerprint, differences, fingerprint_path, read_fingerprint, stored_fingerprint
from migrator.invalid_indexes import invalid_indexes
from migrator.lineage import read_lineage
from migrator.lock import LockHolder, find_holder
from migrator.probe import Probe, Verdict, probe, refuse_unusable
from migrator.urls import checked_postgres_url, without_password

if TYPE_CHECKING:
    from datetime import datetime

    from migrator.environment import Environment

LEAST_CONNECT_SECONDS = 2
"""The shortest connect time-out there is.  Source: PostgreSQL 18, 32.1.2 connect_timeout."""


class State(StrEnum):
    """What a database is to this code; of several that hold, the one to see to first."""

    EMPTY = "empty"
    """No tables: bring it to head."""
    UNVERSIONED = "unversioned"
    """Tables, but no revision: bringing it to head adopts it, if it is what a revision makes."""
    BEHIND = "behind"
    """At an older revision: bring it to head."""
    AT_HEAD = "at head"
    """All is well."""
    AHEAD_COMPATIBLE = "ahead compatible"
    """At a newer revision, on which this code still works."""
    AHEAD_INCOMPATIBLE = "ahead incompatible"
    """At a newer revision, on which this code does not work: deploy newer code."""
    DIVERGED = "diverged"
    """Moved by other code than what leads here: another branch, another environment, several revisions at once."""
    MIGRATING = "migrating"
    """Somebody holds the migration lock: wait."""
    DRIFTED = "drifted"
    """At a revision, but not what that revision makes."""
    DEGRADED = "degraded"
    """What its revision makes, but for INVALID indexes or constraints: repair them."""
    UNREACHABLE = "unreachable"
    """It could not be asked; the reason says why."""


@dataclass(frozen=True)
class Migration:
    """
    Who is migrating a database, and how far that is.

    Args:
        pid: The server process that holds the migration lock.
        application_name: How the server's own views show it.
        host: From where; None: the local socket, or not shown to this role.
        since: When it took the lock; None: not shown to this role.
        revision: The one that is being run.
        remaining: How many are to be run, this one included.
        step: What the server is doing for it, where it tells, with the share done.
    """

    pid: int
    application_name: str | None
    host: str | None
    since: datetime | None
    revision: str | None
    remaining: int
    step: str | None

    def __str__(self) -> str:
        """Say it in a sentence's part."""
        holder = LockHolder(self.pid, self.application_name, self.host, self.since)
        at = f", at {self.revision}, {self.remaining} to run" if self.revision else ""
        return f"{holder}{at}{f': {self.step}' if self.step else ''}"


@dataclass(frozen=True)
class DatabaseState:
    """
    What there is to tell about one database.

    Args:
        environment: The environment's name.
        state: The one word.
        reason: A sentence that says why, and what to do.
        is_usable: Whether this code may run on it now.
        revision: Its revision; None: none, or it could not be asked.
        head: What this code needs; None: the environment's own files are broken.
        floor: Oldest revision whose code still works on it; None: not recorded.
        pending: Revisions to be run, oldest first; behind by as many.
        migration: Who is migrating it; None: nobody.
        differences: How its catalog differs from what its revision makes, a line each; empty too where there is no
            stored fingerprint, or *looks_closely* was false.
        invalid_objects: INVALID indexes and constraints by name, with what repairs each.
        took_ms: How long the look took.
    """

    environment: str
    state: State
    reason: str
    is_usable: bool = False
    revision: str | None = None
    head: str | None = None
    floor: str | None = None
    pending: tuple[str, ...] = ()
    migration: Migration | None = None
    differences: tuple[str, ...] = ()
    invalid_objects: dict[str, str] = field(default_factory=dict)
    took_ms: int = 0

    def __str__(self) -> str:
        """Return the state, of one behind with the number of revisions."""
        return f"{self.state} ({len(self.pending)})" if self.state is State.BEHIND else str(self.state)


_BY_VERDICT = {
    Verdict.EMPTY: State.EMPTY,
    Verdict.UNVERSIONED: State.UNVERSIONED,
    Verdict.BEHIND: State.BEHIND,
    Verdict.AT_HEAD: State.AT_HEAD,
    Verdict.AHEAD_COMPATIBLE: State.AHEAD_COMPATIBLE,
    Verdict.AHEAD_INCOMPATIBLE: State.AHEAD_INCOMPATIBLE,
    Verdict.DIVERGED: State.DIVERGED,
    Verdict.FOREIGN: State.DIVERGED,
}
_REASONS = {
    State.EMPTY: "It has no tables yet; bring it to head.",
    State.UNVERSIONED: "It has tables but no revision; bringing it to head adopts it, if a revision makes the same.",
    State.BEHIND: "Revisions are pending; bring it to head.",
    State.AT_HEAD: "It is what this code needs.",
    State.AHEAD_COMPATIBLE: "It is ahead of this code, which still works on it; finish the deployment.",
}
_STEP = """
SELECT pg_catalog.format('%s, %s %%', p.phase, CASE
    WHEN p.blocks_total > 0 THEN 100 * p.blocks_done / p.blocks_total
    WHEN p.tuples_total > 0 THEN 100 * p.tuples_done / p.tuples_total
    WHEN p.lockers_total > 0 THEN 100 * p.lockers_done / p.lockers_total ELSE 0 END)
FROM pg_catalog.pg_stat_progress_create_index p
WHERE p.datname = pg_catalog.current_database() LIMIT 1
"""
_NOT_VALID = " NOT VALID"


def read_state(
    environment: Environment, url: str, *, timeout_seconds: float = 3.0, looks_closely: bool = True
) -> DatabaseState:
    """
    Return the state of the database at *url*.

    Never raises: what cannot be asked is `UNREACHABLE`, with the reason. Reads only, and waits for no lock but one on
    the catalogs and the version table.

    Args:
        environment: Whose revisions it should have.
        url: Where it is.
        timeout_seconds: When to give up, reaching the server (two seconds at least) and each answer included.
        looks_closely: Compare the catalog with the fingerprint of its revision, which takes some ten milliseconds.
    """
    began = time.monotonic()
    try:
        # First of all, because libpq quotes the part of a URL that it stumbles over, which may be the password.
        url = checked_postgres_url(url)
        with closing(_connect(url, began + max(timeout_seconds, LEAST_CONNECT_SECONDS))) as connection:
            look = _Look(connection, environment, looks_closely=looks_closely)
            found = look.state()
    except psycopg.Error as error:
        found = _unreachable(environment, f"{without_password(url)}: {sentence(error)}")
    except ValueError as error:
        found = _unreachable(environment, f"its URL {error}")
    except Exception as error:  # noqa: BLE001 - it never raises, as promised
        found = _unreachable(environment, sentence(error))
    return replace(found, took_ms=round((time.monotonic() - began) * 1000))


def _connect(url: str, deadline: float) -> BoundedConnection:
    connection = BoundedConnection.connect(
        url,
        autocommit=True,
        prepare_threshold=None,  # a pooler may hand the next statement to another server process
        application_name="migrator:state",
        connect_timeout=LEAST_CONNECT_SECONDS,
    )
    connection.deadline = deadline
    return connection


class _Look:
    """One look at one database."""

    def __init__(self, connection: psycopg.Connection, environment: Environment, *, looks_closely: bool) -> None:
        self._connection = connection
        self._environment = environment
        self._lineage = read_lineage(environment)
        self._looks_closely = looks_closely

    def state(self) -> DatabaseState:
        try:
            found = probe(self._connection, self._environment)
        except MigratorError as error:
            # Several revisions at once.
            return DatabaseState(self._environment.name, State.DIVERGED, str(error), head=self._environment.head)
        migration = self._migration(found)
        told = self._told(found, migration)
        if migration is not None or not self._looks_closely:
            return told
        return self._closer(told)

    def _told(self, found: Probe, migration: Migration | None) -> DatabaseState:
        state = _BY_VERDICT[found.verdict]
        try:
            refuse_unusable(self._environment, found)
            reason = _REASONS[state]
        except MigratorError as error:
            reason = str(error)
        if migration is not None:
            state, reason = State.MIGRATING, f"It is being migrated by {migration}; wait."
        return DatabaseState(
            environment=self._environment.name,
            state=state,
            reason=reason,
            is_usable=found.verdict.is_usable,
            revision=found.revision,
            head=self._environment.head,
            floor=found.floor,
            pending=self._pending(found),
            migration=migration,
        )

    def _pending(self, found: Probe) -> tuple[str, ...]:
        if found.verdict not in {Verdict.EMPTY, Verdict.UNVERSIONED, Verdict.BEHIND}:
            return ()
        return self._lineage.after(found.revision)

    def _migration(self, found: Probe) -> Migration | None:
        holder = find_holder(self._connection, self._environment)
        if holder is None:
            return None
        pending = self._pending(found)
        step = self._connection.execute(_STEP).fetchone()
        return Migration(
            pid=holder.pid,
            application_name=holder.application_name,
            host=holder.host,
            since=holder.since,
            revision=next(iter(pending), None),
            remaining=len(pending),
            step=None if step is None else step[0],
        )

    def _closer(self, told: DatabaseState) -> DatabaseState:
        """Look for INVALID objects and, where the revision has a fingerprint, for drift."""
        invalid = dict(invalid_indexes(self._connection))
        lines: list[str] = []
        revision = told.revision
        if revision in self._lineage.revisions and fingerprint_path(self._environment, revision).exists():
            expected = stored_fingerprint(self._environment, revision)
            found = read_fingerprint(self._connection, self._environment)
            invalid |= _unvalidated(expected, found)
            lines = differences(expected, _as_if_valid(expected, found))
        told = replace(told, differences=tuple(lines), invalid_objects=invalid)
        # What is behind may be half-way through a revision that works outside a transaction: running it mends that.
        if told.state not in {State.AT_HEAD, State.AHEAD_COMPATIBLE}:
            return told
        if lines:
            reason = f"It is not what revision {revision} makes: {'; '.join(lines)}."
            return replace(told, state=State.DRIFTED, reason=reason)
        if invalid:
            reason = f"INVALID: {'; '.join(f'{name} ({cure})' for name, cure in invalid.items())}."
            return replace(told, state=State.DEGRADED, reason=reason)
        return told


def _unvalidated(expected: Fingerprint, found: Fingerprint) -> dict[str, str]:
    """Return the constraints that are as expected but for not being validated, with what validates each."""
    cures = {}
    for name, properties in found.items():
        kind, _, label = name.partition(" ")
        definition = str(properties.get("definition"))
        wanted = expected.get(name, {}).get("definition")
        if kind == "constraint" and definition != wanted and definition.removesuffix(_NOT_VALID) == wanted:
            table, _, constraint = label.rpartition(".")
            cures[label] = f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}"
    return cures


def _as_if_valid(expected: Fingerprint, found: Fingerprint) -> Fingerprint:
    """Return *found* without what a broken build left behind, so that only drift differs."""
    cleaned: Fingerprint = {}
    for name, properties in found.items():
        if properties.get("invalid"):
            if name in expected:
                cleaned[name] = {key: value for key, value in properties.items() if key != "invalid"}
            continue
        cleaned[name] = properties
        if name in expected and str(properties.get("definition")).removesuffix(_NOT_VALID) == expected[name].get(
            "definition"
        ):
            cleaned[name] = properties | {"definition": expected[name]["definition"]}
    return cleaned


def _unreachable(environment: Environment, reason: str) -> DatabaseState:
    try:
        head: str | None = environment.head
    except MigratorError:
        head = None
    return DatabaseState(environment.name, State.UNREACHABLE, f"It could not be asked: {reason}.", head=head)
