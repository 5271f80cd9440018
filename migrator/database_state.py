"""What there is to tell about one database, in one word and in full."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from migrator.lock import LockHolder

if TYPE_CHECKING:
    from datetime import datetime

    from migrator.conversion_bounds import ConversionBound


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
        is_foreign: Whether it carries the version table of another environment.
        revision: Its revision; None: none, or it could not be asked.
        head: What this code needs; None: the environment's own files are broken.
        floor: Oldest revision whose code still works on it; None: not recorded.
        pending: Revisions to be run, oldest first; behind by as many.
        migration: Who is migrating it; None: nobody.
        differences: How its catalog differs from what its revision makes, a line each; empty too where there is no
            stored fingerprint, or *looks_closely* was false.
        invalid_objects: INVALID indexes and constraints by name, with what repairs each.
        bounds: What conversions that were broken off left on tables; empty too where *looks_closely* was false.
        took_ms: How long the look took.
    """

    environment: str
    state: State
    reason: str
    is_usable: bool = False
    is_foreign: bool = False
    revision: str | None = None
    head: str | None = None
    floor: str | None = None
    pending: tuple[str, ...] = ()
    migration: Migration | None = None
    differences: tuple[str, ...] = ()
    invalid_objects: dict[str, str] = field(default_factory=dict)
    bounds: tuple[ConversionBound, ...] = ()
    took_ms: int = 0

    def __str__(self) -> str:
        """Return the state, of one behind with the number of revisions."""
        return f"{self.state} ({len(self.pending)})" if self.state is State.BEHIND else str(self.state)
