"""What the rest of this package has to be told about one Alembic environment."""

import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from migrator.errors import EnvironmentFilesError

_REVISION_FILE = re.compile(r"(?P<revision>[A-Za-z0-9]+)_\w+\.py")


@dataclass(frozen=True)
class Environment:
    """
    One Alembic environment: its folder, its version table, and the variables that name its database.

    Args:
        name: How people and logs call the database, one short word.
        folder: Holds alembic.ini, env.py, versions/, HEAD.txt and fingerprints/.
        version_table: Where Alembic keeps the revision; unlike that of any other environment.
        url_variables: Environment variables that may hold the database's URL; the first one set wins.
        foreign_version_tables: Version tables of other environments: a database that carries one is refused.
        direct_url_variable: The variable for a URL that goes past any pooler and may change the schema.
        distribution: The installed distribution that these revisions come with; the history records its version.
    """

    name: str
    folder: Path
    version_table: str
    url_variables: tuple[str, ...]
    foreign_version_tables: tuple[str, ...] = ()
    direct_url_variable: str | None = None
    distribution: str | None = None

    @property
    def head(self) -> str:
        """
        The revision that this code needs, as written in HEAD.txt.

        Raises:
            EnvironmentFilesError: HEAD.txt is missing or names no revision in versions/.
        """
        path = self.folder / "HEAD.txt"
        try:
            head = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise EnvironmentFilesError(
                f"{path} cannot be read ({error.strerror}); it must hold the id of the newest revision."
            ) from error
        if head not in self.known_revisions:
            raise EnvironmentFilesError(
                f"{path} names revision {head!r}, but {self.folder / 'versions'} has no file {head}_<slug>.py."
            )
        return head

    @property
    def known_revisions(self) -> frozenset[str]:
        """The ids of all revisions in versions/, by their file names alone: Alembic is not imported."""
        try:
            names = [path.name for path in (self.folder / "versions").iterdir()]
        except OSError as error:
            raise EnvironmentFilesError(
                f"{self.folder / 'versions'} cannot be read ({error.strerror}); it must hold the revisions."
            ) from error
        return frozenset(match["revision"] for match in map(_REVISION_FILE.fullmatch, names) if match)

    @property
    def code_version(self) -> str | None:
        """The version of this code, such as `orders 1.4.2`; None where the distribution is not named or installed."""
        try:
            return f"{self.distribution} {version(self.distribution)}" if self.distribution else None
        except PackageNotFoundError:
            return None

    def url_from_variables(self) -> str | None:
        """Return what the first variable that is set holds, unchecked, or None."""
        return next((os.environ[name] for name in self.url_variables if os.environ.get(name)), None)
