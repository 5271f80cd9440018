"""
The order of an environment's revisions, and what each says it is compatible with, by their files' text alone.

Alembic runs every file to learn the order, which takes longer than all that a look at a database may take.
"""

from __future__ import annotations

import ast
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.errors import EnvironmentFilesError

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.environment import Environment

_READ = frozenset({"revision", "down_revision", "compatible_with"})


@dataclass(frozen=True)
class Lineage:
    """
    An environment's revisions from the first to its head.

    Args:
        revisions: Their ids, oldest first.
        floors: By revision, the oldest one whose code still works on a database at it.
    """

    revisions: tuple[str, ...]
    floors: dict[str, str]

    def after(self, revision: str | None) -> tuple[str, ...]:
        """Return the revisions that follow *revision*, oldest first; all of them for None or one that is not known."""
        if revision not in self.revisions:
            return self.revisions
        return self.revisions[self.revisions.index(revision) + 1 :]

    def is_older(self, revision: str, other: str) -> bool:
        """Tell whether *revision* comes before *other*; one that is not known is of newer code, so it does not."""
        return revision in self.revisions and revision not in {other, *self.after(other)}


def read_lineage(environment: Environment) -> Lineage:
    """
    Return the line of revisions that ends in the environment's head.

    Raises:
        EnvironmentFilesError: A file cannot be read, or the line from head to base is broken.
    """
    paths = {path.name.partition("_")[0]: path for path in (environment.folder / "versions").glob("*.py")}
    line: list[str] = []
    declared: dict[str, str] = {}
    revision: str | None = environment.head
    while revision is not None:
        if revision not in paths or revision in declared:
            raise EnvironmentFilesError(
                f"The revisions in {environment.folder / 'versions'} make no line: {revision} is missing or comes "
                "twice."
            )
        found = _constants(paths[revision])
        line.insert(0, revision)
        declared[revision] = found.get("compatible_with") or revision
        revision = found.get("down_revision")
    return Lineage(tuple(line), _floors(line, declared))


_parsing = threading.Lock()
"""Two threads in ast.parse at once may end in a SystemError; seen once, on Python 3.11.7."""


def _floors(line: list[str], declared: dict[str, str]) -> dict[str, str]:
    """What one revision broke stays broken, whatever a later one says about itself."""
    floors: dict[str, str] = {}
    newest = 0
    for index, revision in enumerate(line):
        floor = declared[revision]
        newest = max(newest, line.index(floor) if floor in line[: index + 1] else index)
        floors[revision] = line[newest]
    return floors


def _constants(path: Path) -> dict[str, str]:
    try:
        with _parsing:
            tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise EnvironmentFilesError(f"{path} cannot be read: {error}.") from error
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Constant):
            continue
        value = node.value.value
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id in _READ and isinstance(value, str):
                found[target.id] = value
    return found
