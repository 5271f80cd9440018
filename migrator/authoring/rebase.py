"""Two lines of work each added a revision: the one that has not landed yet goes on top of the other."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.authoring.chain import RevisionFile, has_conflict, head_text, heads_of, read_chain, read_file, read_files
from migrator.authoring.seals import read_seals, seal
from migrator.errors import PermanentError
from migrator.fingerprint import fingerprint_path

if TYPE_CHECKING:
    from migrator.environment import Environment

_SIDES = re.compile(r"<<<<<<< [^\n]*\n(?P<ours>.*?)(?:\n\|{7}.*?)?\n=======\n(?P<theirs>.*?)\n>>>>>>>", re.DOTALL)


@dataclass(frozen=True)
class Rebased:
    """
    What was moved.

    Args:
        moved: The local revisions, oldest first.
        onto: What they stand upon now.
    """

    moved: tuple[str, ...]
    onto: str


def rebase(environment: Environment, local: str | None = None) -> Rebased:
    """
    Put the local line of revisions on top of the landed one; HEAD.txt names its end.

    Fingerprints of what was moved are removed: they have to be made anew, in the new order.

    Args:
        environment: Whose.
        local: The newest local revision; None: told by the conflict in HEAD.txt, or by what HEAD.txt names.

    Raises:
        PermanentError: There are not two heads, it cannot be told which is local, or that one has landed.
    """
    files = read_files(environment)
    heads = heads_of(files)
    if len(heads) != 2:  # noqa: PLR2004 - one is local, the other has landed
        count = f"{len(heads)} heads, {', '.join(heads)}" if len(heads) > 1 else "one head only"
        raise PermanentError(
            f"The {environment.name} environment has {count}, so there is nothing to put on top of something. "
            "Nothing was changed." + (" Rebase them one after the other, naming each." if len(heads) > 1 else "")
        )
    mine = _named(heads, local) if local else _told(environment, heads)
    onto = next(head for head in heads if head != mine)
    landed_line = {file.revision for file in _line(files, onto)}
    moved = [file for file in _line(files, mine) if file.revision not in landed_line]
    landed = sorted({file.revision for file in moved} & read_seals(environment).keys())
    if landed:
        raise PermanentError(
            f"Revision {landed[0]} of the {environment.name} environment has landed: databases carry it where it is. "
            f"Nothing was changed. Rebase the other one, {onto}."
        )
    _move(files, moved, onto)
    for file in moved:
        fingerprint_path(environment, file.revision).unlink(missing_ok=True)
    (environment.folder / "HEAD.txt").write_text(f"{mine}\n", encoding="utf-8")
    chain = read_chain(environment)
    seal(environment, [file for file in chain.revisions if file.revision in landed_line])
    return Rebased(tuple(file.revision for file in moved), onto)


def _named(heads: list[str], local: str) -> str:
    found = [head for head in heads if head.startswith(local)]
    if len(found) != 1:
        raise PermanentError(f"{local} is not one of the two heads, {' and '.join(heads)}. Nothing was changed.")
    return found[0]


def _told(environment: Environment, heads: list[str]) -> str:
    """Find out which head is local: the one whose line has nothing landed, else as git's conflict says."""
    seals = read_seals(environment)
    sealed = [head for head in heads if head in seals]
    if len(sealed) == 1:
        return next(head for head in heads if head not in sealed)
    text = head_text(environment)
    sides = _SIDES.search(text) if has_conflict(text) else None
    if sides is not None and {sides["ours"].strip(), sides["theirs"].strip()} == set(heads):
        # In a rebase of git, "ours" is what the local work is put upon; in a merge it is the local work.
        return (sides["theirs"] if _git_rebases(environment) else sides["ours"]).strip()
    if text in heads:
        # What HEAD.txt was made to name is taken for what everybody has.
        return next(head for head in heads if head != text)
    raise PermanentError(
        f"It cannot be told which of {' and '.join(heads)} has not landed yet. Nothing was changed. Name it."
    )


def _git_rebases(environment: Environment) -> bool:
    for name in ("rebase-merge", "rebase-apply"):
        done = subprocess.run(
            ["git", "rev-parse", "--path-format=absolute", "--git-path", name],
            cwd=environment.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        path = done.stdout.strip()
        if done.returncode == 0 and path and (environment.folder / path).exists():
            return True
    return False


def _line(files: dict[str, RevisionFile], head: str) -> list[RevisionFile]:
    """Return the revisions up to *head*, oldest first."""
    line: list[RevisionFile] = []
    current: str | None = head
    while current is not None and current in files and files[current] not in line:
        line.insert(0, files[current])
        current = files[current].down_revision
    return line


def _move(files: dict[str, RevisionFile], moved: list[RevisionFile], onto: str) -> None:
    first = moved[0]
    old = re.escape(first.down_revision or "None")
    text, count = re.subn(
        rf"^(down_revision\b[^=\n]*= *)(?:(['\"]){old}\2|None)",
        lambda match: f'{match[1]}"{onto}"',
        first.source,
        count=1,
        flags=re.MULTILINE,
    )
    if count != 1:
        raise PermanentError(f"{first.path} says down_revision in a way that cannot be rewritten. Nothing was changed.")
    text = re.sub(rf"^(Revises: ){old}$", rf"\g<1>{onto}", text, count=1, flags=re.MULTILINE)
    first.path.write_text(text, encoding="utf-8")
    files[first.revision] = read_file(first.path)
