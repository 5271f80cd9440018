"""
The revisions of an environment as their files say, read without running any of them.

Alembic executes every file to learn the order, so that one broken file hides what is wrong with the chain.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.errors import EnvironmentFilesError

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.environment import Environment

_CONFLICT = "<<<<<<<"


@dataclass(frozen=True)
class RevisionFile:
    """
    One revision's file.

    Args:
        path: Where it is.
        source: Its text.
        tree: Its syntax tree.
        revision: Its id.
        down_revision: What it builds upon; None: it is the first.
        compatible_with: Oldest head whose code still works on it, as it says itself.
    """

    path: Path
    source: str
    tree: ast.Module
    revision: str
    down_revision: str | None
    compatible_with: str | None


@dataclass(frozen=True)
class Chain:
    """An environment's revisions in order, oldest first: one line without forks."""

    environment: Environment
    revisions: tuple[RevisionFile, ...]

    @property
    def head(self) -> RevisionFile | None:
        """The newest revision; None: there is none yet."""
        return self.revisions[-1] if self.revisions else None

    def get(self, revision: str) -> RevisionFile:
        """
        Return the file of *revision*, which may be shortened as long as it is clear, or `head`.

        Raises:
            EnvironmentFilesError: There is none, or more than one.
        """
        if revision == "head" and self.head is not None:
            return self.head
        found = [one for one in self.revisions if one.revision.startswith(revision)]
        exact = [one for one in found if one.revision == revision]
        if len(exact or found) != 1:
            many = "several revisions" if found else "no revision"
            raise EnvironmentFilesError(
                f"{revision!r} names {many} of the {self.environment.name} environment; see "
                f"{self.environment.folder / 'versions'}."
            )
        return (exact or found)[0]

    def up_to(self, revision: str) -> tuple[RevisionFile, ...]:
        """Return the revisions up to and with *revision*, oldest first."""
        last = self.revisions.index(self.get(revision))
        return self.revisions[: last + 1]


def read_chain(environment: Environment) -> Chain:
    """
    Return the revisions of *environment*, proven to be one line whose end HEAD.txt names.

    Raises:
        EnvironmentFilesError: They are not. The message says what is wrong and how to set it right.
    """
    files = read_files(environment)
    chain = Chain(environment, _ordered(environment, files))
    _refuse_other_head(environment, chain)
    return chain


def read_files(environment: Environment) -> dict[str, RevisionFile]:
    """
    Return every revision in versions/ by its id, in no order.

    Raises:
        EnvironmentFilesError: A file is no revision, or two have the same id.
    """
    folder = environment.folder / "versions"
    files: dict[str, RevisionFile] = {}
    for path in sorted(folder.glob("*.py")):
        file = read_file(path)
        if file.revision in files:
            raise EnvironmentFilesError(
                f"{files[file.revision].path} and {path} both call themselves revision {file.revision}. "
                "Rename the newer one, in its file name and in `revision`."
            )
        files[file.revision] = file
    return files


def read_file(path: Path) -> RevisionFile:
    """
    Return the revision in *path*.

    Raises:
        EnvironmentFilesError: It is not Python, or says no plain `revision` and `down_revision`.
    """
    source = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise EnvironmentFilesError(f"{path} is not Python: {error.msg}, line {error.lineno}. Correct it.") from error
    says = module_constants(tree)
    revision, down = says.get("revision"), says.get("down_revision", "")
    if not isinstance(revision, str) or not (down is None or (isinstance(down, str) and down)):
        raise EnvironmentFilesError(
            f"{path} must say `revision` and `down_revision` as plain texts, down_revision None in the first one only; "
            "a merge of two lines is not supported, rebase one onto the other."
        )
    compatible_with = says.get("compatible_with")
    return RevisionFile(
        path, source, tree, revision, down, compatible_with if isinstance(compatible_with, str) else None
    )


def module_constants(tree: ast.Module) -> dict[str, object]:
    """Return the plain values that *tree* assigns at its top level, annotated or not."""
    found: dict[str, object] = {}
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Constant):
            found.update({target.id: value.value for target in targets if isinstance(target, ast.Name)})
    return found


def head_text(environment: Environment) -> str:
    """Return what HEAD.txt holds, conflict marks of git included; empty where there is none."""
    path = environment.folder / "HEAD.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def has_conflict(text: str) -> bool:
    """Whether git left its conflict marks in *text*."""
    return _CONFLICT in text


def heads_of(files: dict[str, RevisionFile]) -> list[str]:
    """Return the revisions that nothing builds upon."""
    return sorted(files.keys() - {file.down_revision for file in files.values()})


def _ordered(environment: Environment, files: dict[str, RevisionFile]) -> tuple[RevisionFile, ...]:
    for file in files.values():
        if file.down_revision is not None and file.down_revision not in files:
            raise EnvironmentFilesError(
                f"Revision {file.revision} of the {environment.name} environment builds upon {file.down_revision}, "
                f"but no file in {environment.folder / 'versions'} is that revision. Bring the missing file back."
            )
    after: dict[str | None, list[RevisionFile]] = {}
    for file in files.values():
        after.setdefault(file.down_revision, []).append(file)
    _refuse_forks(environment, files, after)
    ordered: list[RevisionFile] = []
    following = after.get(None, [])
    while following:
        ordered.append(following[0])
        following = after.get(following[0].revision, [])
    if len(ordered) != len(files):
        in_cycle = ", ".join(sorted(files.keys() - {file.revision for file in ordered}))
        raise EnvironmentFilesError(
            f"The revisions {in_cycle} of the {environment.name} environment build upon each other in a cycle, so none "
            "can be the first. Correct their down_revision."
        )
    return tuple(ordered)


def _refuse_forks(
    environment: Environment, files: dict[str, RevisionFile], after: dict[str | None, list[RevisionFile]]
) -> None:
    for down, followers in after.items():
        if len(followers) == 1:
            continue
        names = " and ".join(file.revision for file in followers)
        if down is None:
            raise EnvironmentFilesError(
                f"The {environment.name} environment has several first revisions, {names}. Correct their down_revision."
            )
        raise EnvironmentFilesError(
            f"The {environment.name} environment has {len(heads_of(files))} heads, because {names} both build upon "
            f"{down}. Put the one that has not landed yet on top: rebase it."
        )


def _refuse_other_head(environment: Environment, chain: Chain) -> None:
    path, text = environment.folder / "HEAD.txt", head_text(environment)
    head = chain.head.revision if chain.head else ""
    if has_conflict(text):
        raise EnvironmentFilesError(
            f"{path} holds a conflict of git: two lines of work each added a revision. Rebase the one that has not "
            "landed yet."
        )
    if text != head:
        raise EnvironmentFilesError(
            f"{path} names {text or 'nothing'}, but the newest revision in {environment.folder / 'versions'} is "
            f"{head or 'none'}. Write {head or 'nothing'} into it, or bring the missing file back."
        )
