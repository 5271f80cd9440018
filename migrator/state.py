"""The state of one database in one word, for whoever looks from outside: one call that never raises."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from migrator.bounded_connection import BoundedConnection
from migrator.classifier import sentence
from migrator.conversion_bounds import conversion_bounds
from migrator.database_state import DatabaseState, Migration, State
from migrator.errors import MigratorError
from migrator.fingerprint import Fingerprint, differences, fingerprint_path, read_fingerprint, stored_fingerprint
from migrator.invalid_indexes import invalid_indexes
from migrator.lineage import read_lineage
from migrator.lock import find_holder
from migrator.probe import Probe, Verdict, probe, refuse_unusable
from migrator.urls import checked_postgres_url, without_password

if TYPE_CHECKING:
    from migrator.environment import Environment

__all__ = ["DatabaseState", "Migration", "State", "look", "read_state"]

LEAST_CONNECT_SECONDS = 2
"""The shortest connect time-out there is.  Source: PostgreSQL 18, 32.1.2 connect_timeout."""


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
            found = look(connection, environment, looks_closely=looks_closely)
    except psycopg.Error as error:
        found = _unreachable(environment, f"{without_password(url)}: {sentence(error)}")
    except ValueError as error:
        found = _unreachable(environment, f"its URL {error}")
    except Exception as error:  # noqa: BLE001 - it never raises, as promised
        found = _unreachable(environment, sentence(error))
    return replace(found, took_ms=round((time.monotonic() - began) * 1000))


def look(connection: psycopg.Connection, environment: Environment, *, looks_closely: bool = True) -> DatabaseState:
    """
    Return the state of the database behind *connection*, for whoever has one and bounds it; reads only.

    Raises:
        psycopg.Error: It did not answer.
        EnvironmentFilesError: The environment's own files are broken.
    """
    return _Look(connection, environment, looks_closely=looks_closely).state()


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
            is_foreign=found.verdict is Verdict.FOREIGN,
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
        """Look for INVALID objects, for bounds and, where the revision has a fingerprint, for drift."""
        bounds = conversion_bounds(self._connection)
        invalid = dict(invalid_indexes(self._connection))
        lines: list[str] = []
        revision = told.revision
        if revision in self._lineage.revisions and fingerprint_path(self._environment, revision).exists():
            expected = stored_fingerprint(self._environment, revision)
            found = self._fingerprint()
            if found is not None:
                invalid |= _unvalidated(expected, found)
                lines = differences(expected, _as_if_valid(expected, found))
        if (invalid or lines or bounds) and self._moved_since(told):
            return self.state()
        reason = " ".join([told.reason, *(f"{bound}." for bound in bounds)])
        told = replace(told, reason=reason, differences=tuple(lines), invalid_objects=invalid, bounds=bounds)
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

    def _fingerprint(self) -> Fingerprint | None:
        """Return the catalog's fingerprint; None where somebody is changing a table and keeps it locked."""
        try:
            with self._connection.transaction(force_rollback=True):
                self._connection.execute("SET LOCAL lock_timeout = '500ms'")
                return read_fingerprint(self._connection, self._environment)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.InternalError_):
            return None

    def _moved_since(self, told: DatabaseState) -> bool:
        """Whether somebody began to migrate, or did, between the first look and the closer one."""
        found = probe(self._connection, self._environment)
        return found.revision != told.revision or find_holder(self._connection, self._environment) is not None


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
