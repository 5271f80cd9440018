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
    from collections.abc import Mapping, Sequence
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
        EnvironmentFilesError: A file cannot be read, the line from head to base is broken, or a revision calls itself
            compatible with one that is not among its ancestors.
    """
    paths = {path.name.partition("_")[0]: path for path in (environment.folder / "versions").glob("*.py")}
    line: list[str] = []
    declared: dict[str, str | None] = {}
    revision: str | None = environment.head
    while revision is not None:
        if revision not in paths or revision in declared:
            raise EnvironmentFilesError(
                f"The revisions in {environment.folder / 'versions'} make no line: {revision} is missing or comes "
                "twice."
            )
        found = _constants(paths[revision])
        line.insert(0, revision)
        declared[revision] = found.get("compatible_with")
        revision = found.get("down_revision")
    return Lineage(tuple(line), floors_of(line, declared))


_parsing = threading.Lock()
"""Two threads in ast.parse at once may end in a SystemError; seen once, on Python 3.11.7."""


def floors_of(line: Sequence[str], declared: Mapping[str, str | None]) -> dict[str, str]:
    """
    Return, by revision of *line* (oldest first), the oldest one whose code works on a database at it.

    That is the newest `compatible_with` of all revisions up to it, the revision itself where it is not *declared*: what
    one revision broke stays broken, whatever a later one says about itself.

    Raises:
        EnvironmentFilesError: A revision names one that is not among its ancestors.
    """
    position = {revision: index for index, revision in enumerate(line)}
    floors: dict[str, str] = {}
    newest = 0
    for index, revision in enumerate(line):
        floor = declared.get(revision) or revision
        if position.get(floor, len(line)) > index:
            raise EnvironmentFilesError(
                f"Revision {revision} says compatible_with = {floor!r}, which is not one of its ancestors."
            )
        newest = max(newest, position[floor])
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
