"""
History that is never edited: a hash of each landed revision's code, in `<environment's folder>/versions.lock`.

A revision is sealed when the next one is built upon it. Comments, docstrings and layout are free of the hash.
"""

from __future__ import annotations

import ast
import hashlib
from typing import TYPE_CHECKING

from migrator.errors import EnvironmentFilesError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from migrator.authoring.chain import Chain, RevisionFile
    from migrator.environment import Environment

_HEADER = "# Landed revisions and the hashes of their code; written by the tools, a line is only ever added.\n"


def code_hash(tree: ast.Module) -> str:
    """Return the hash of what *tree* does, the same for every version of Python."""
    return hashlib.sha256(_written(tree).encode()).hexdigest()


def seals_path(environment: Environment) -> Path:
    """Return where the seals of an environment are kept."""
    return environment.folder / "versions.lock"


def read_seals(environment: Environment) -> dict[str, str]:
    """
    Return the hash of each landed revision.

    Raises:
        EnvironmentFilesError: The file is damaged.
    """
    path = seals_path(environment)
    seals: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 2 or words[0] in seals:  # noqa: PLR2004 - a revision and its hash
            raise EnvironmentFilesError(
                f"{path} holds the line {line!r}; each line is a revision and its hash, each revision once. Take the "
                "lines of both sides of a conflict."
            )
        seals[words[0]] = words[1]
    return seals


def broken_seals(chain: Chain) -> list[str]:
    """
    Return what is wrong with the history, a sentence each: landed revisions that were edited or are gone.

    Every revision but the newest has landed.
    """
    seals = read_seals(chain.environment)
    files = {file.revision: file for file in chain.revisions}
    gone = [
        f"Revision {revision} has landed, but its file is gone. Bring it back."
        for revision in seals
        if revision not in files
    ]
    edited = [
        f"Revision {file.revision} has landed and was edited since: its code is not what "
        f"{seals_path(chain.environment)} holds. Undo the change; a new revision corrects it."
        for file in chain.revisions
        if file.revision in seals and seals[file.revision] != code_hash(file.tree)
    ]
    unsealed = [
        f"Revision {file.revision} is built upon, but {seals_path(chain.environment)} has no line for it. Seal it."
        for file in chain.revisions[:-1]
        if file.revision not in seals
    ]
    return [*gone, *edited, *unsealed]


def seal(environment: Environment, files: Iterable[RevisionFile]) -> list[str]:
    """
    Seal the revisions in *files* that are not sealed yet; return their ids.

    Raises:
        EnvironmentFilesError: The file is damaged.
    """
    seals = read_seals(environment)
    added = {file.revision: code_hash(file.tree) for file in files if file.revision not in seals}
    if added:
        lines = [f"{revision} {digest}\n" for revision, digest in {**seals, **added}.items()]
        seals_path(environment).write_text("".join([_HEADER, *lines]), encoding="utf-8")
    return list(added)


def _written(node: object) -> str:
    """Write a syntax tree out, without places, contexts, empty fields and docstrings."""
    if isinstance(node, list):
        return f"[{','.join(_written(child) for child in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if name not in {"ctx", "kind", "type_comment"}}
    if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        fields["body"] = _without_docstring(node.body)
    written = (f"{name}={_written(value)}" for name, value in fields.items() if value not in (None, []))
    return f"{type(node).__name__}({','.join(written)})"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_docstring else body
