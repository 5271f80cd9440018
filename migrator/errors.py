"""
Errors that a caller of this package meets.

MigratorError
 ├─ TemporaryError            trying again later may succeed (exit code 75)
 │   ├─ LockLostError         the migration lock is no longer ours
 │   └─ VersionMovedError     somebody else moved the version row
 └─ PermanentError            trying again will not help (exit code 70)
     ├─ AdoptionRefusedError  tables without a revision, which are not what a revision makes
     ├─ EnvironmentFilesError the environment's own files are incomplete
     └─ DataLossRefusedError  a downgrade would lose data and nobody consented
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class MigratorError(Exception):
    """
    Superclass of all errors of this package.

    Never raised directly. `exit_code` is what a process that gives up because of it should exit with.
    """

    exit_code = 70


class TemporaryError(MigratorError):
    """Trying again later may succeed; nothing was left half done."""

    exit_code = 75


class LockLostError(TemporaryError):
    """The migration lock is no longer held by the connection that took it; no further revision was begun."""


class VersionMovedError(TemporaryError):
    """The version row is not what this run had read; nothing was changed, read it again."""


class PermanentError(MigratorError):
    """Trying again will not help: somebody has to change something first."""

    exit_code = 70


class EnvironmentFilesError(PermanentError):
    """The files of a migration environment are missing or contradict each other."""


class AdoptionRefusedError(PermanentError):
    """
    A database with tables but no revision was not taken over; nothing was run on it.

    `differences` are lines for people; `repair` the statements that would make it equal, in their order.
    """

    def __init__(self, what: str, differences: Sequence[str] = (), repair: Sequence[str] = (), then: str = "") -> None:
        cure = f" SQL that would repair it, to be read before it is run, {then}: {' '.join(repair)}" if repair else ""
        super().__init__(f"{what}{cure}")
        self.differences = tuple(differences)
        self.repair = tuple(repair)


class DataLossRefusedError(PermanentError):
    """
    A downgrade that would lose data was refused, because nobody consented to it.

    `what` is what would be lost; revisions that were undone before this one stay undone.
    """

    def __init__(self, what: str, consent: str) -> None:
        super().__init__(f"This downgrade would lose {what}, so it was not done. If that is wanted, say so: {consent}")
        self.what = what
