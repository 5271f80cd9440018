"""Rules on a revision's Python: what it imports, says of itself, and does beside its SQL."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from migrator.authoring.chain import module_constants
from migrator.authoring.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.authoring.chain import RevisionFile

_IMPORTS = re.compile(r"(alembic|sqlalchemy)(\.\w+)*|migrator\.ops(\.\w+)*|__future__\.annotations|typing(\.\w+)*")
_SECTIONS = ("Why", "Locks", "Rollback")
_NAMED = {"PrimaryKeyConstraint", "ForeignKeyConstraint", "UniqueConstraint", "CheckConstraint", "ExcludeConstraint"}
_NAMED_OPERATIONS = re.compile(r"create_(index|index_concurrently|\w+_constraint|\w+_key)")
_LOSING = {"drop_table", "drop_column"}
_LOSING_SQL = re.compile(r"\b(DROP\s+(TABLE|COLUMN|SCHEMA)|TRUNCATE|DELETE\s+FROM)\b", re.IGNORECASE)
_CONSENT = {"require_consent_to_lose", "require_data_loss_consent"}
_TRANSACTION = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION|END)\b", re.IGNORECASE)
_AUTOCOMMIT = {
    "add_check",
    "add_not_null",
    "create_index_concurrently",
    "drop_index_concurrently",
    "attach_as_partition",
    "merge_partitions",
    "run_in_batches",
    "autocommit_block",
}
# Operations of migrator.ops that leave a table in use, and that `--sql` writes as something cruder.
_GENTLE = {
    "add_check",
    "add_not_null",
    "attach_as_partition",
    "drop_index_concurrently",
    "merge_partitions",
    "run_in_batches",
}

Verdict = tuple[str, str, str]
"""A rule, its message, and the line."""


def judge_source(file: RevisionFile) -> list[Finding]:
    """Return what speaks against the Python of one revision."""
    verdicts: list[Verdict] = []
    for rule in (_imports, _sections, _globals, _nameless, _swallowed, _unconsented, _transactions, _autocommit):
        verdicts += rule(file.tree)
    if not re.fullmatch(rf"{re.escape(file.revision)}_[a-z0-9_]+", file.path.stem):
        verdicts.append(("file-name", f"Call the file {file.revision}_<subject>.py.", file.path.name))
    return [Finding(file.revision, rule, message, where) for rule, message, where in verdicts]


def called(node: ast.AST) -> str:
    """Return the last name of what is called; empty: nothing with a name."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_gentle(node: ast.AST) -> bool:
    """Whether it calls an operation that stops nobody online, whatever stands for it in `--sql`."""
    name = called(node)
    if name == "create_index_concurrently" and isinstance(node, ast.Call):
        return any(keyword.arg == "partitioned" and _is_true(keyword.value) for keyword in node.keywords)
    return name in _GENTLE


def function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """Return the function of that name at the top level of *tree*."""
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _imports(tree: ast.Module) -> Iterator[Verdict]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        for name in names:
            if not _IMPORTS.fullmatch(name):
                yield (
                    "imports",
                    (
                        f"It imports {name}, which changes with the program, and history does not. Alembic, "
                        "SQLAlchemy and migrator.ops only."
                    ),
                    _line(node),
                )


def _sections(tree: ast.Module) -> Iterator[Verdict]:
    text = ast.get_docstring(tree) or ""
    for name in _SECTIONS:
        if not re.search(rf"^{name}: \S", text, re.MULTILINE):
            yield "docstring", f"The docstring says nothing behind `{name}:`. Say it in a sentence.", ""


def _globals(tree: ast.Module) -> Iterator[Verdict]:
    if not isinstance(module_constants(tree).get("compatible_with"), str):
        yield "compatible-with", "Say `compatible_with`: the oldest head whose code still works on this schema.", ""
    for name in ("upgrade", "downgrade"):
        if function(tree, name) is None:
            yield "two-ways", f"There is no {name}().", ""


def _nameless(tree: ast.Module) -> Iterator[Verdict]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = called(call)
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        first = call.args[0] if call.args else keywords.get("index_name", keywords.get("constraint_name"))
        anonymous = first is None or (isinstance(first, ast.Constant) and first.value is None)
        by_library = [
            word for word in ("unique", "index", "primary_key") if name == "Column" and _is_true(keywords.get(word))
        ]
        if (
            (name in _NAMED | {"ForeignKey"} and "name" not in keywords)
            or ((name == "Index" or _NAMED_OPERATIONS.fullmatch(name)) and anonymous)
            or by_library
        ):
            yield "names-written-out", f"{name} leaves its name to the library. Write it out.", _line(call)


def _swallowed(tree: ast.Module) -> Iterator[Verdict]:
    for node in ast.walk(tree):
        handles = isinstance(node, ast.Try) and any(not _raises(handler) for handler in node.handlers)
        suppresses = isinstance(node, ast.With) and any(called(item.context_expr) == "suppress" for item in node.items)
        if handles or suppresses:
            yield (
                "swallowed-error",
                (
                    "After an error of the server the transaction can only be rolled back, so going on makes the "
                    "rest fail. Let it out, or ask the catalog first."
                ),
                _line(node),
            )


def _raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def _unconsented(tree: ast.Module) -> Iterator[Verdict]:
    down = function(tree, "downgrade")
    if down is None or any(called(node) in _CONSENT for node in ast.walk(down)):
        return
    for node in ast.walk(down):
        if called(node) in _LOSING or (called(node) == "execute" and _LOSING_SQL.search(_texts(node))):
            yield (
                "downgrade-consent",
                "It loses data without asking. Begin it with ops.require_consent_to_lose(what).",
                _line(node),
            )


def _transactions(tree: ast.Module) -> Iterator[Verdict]:
    for node in ast.walk(tree):
        if called(node) == "execute" and _TRANSACTION.match(_texts(node)):
            yield "transaction-control", "The revision's transaction is Alembic's to begin and to end.", _line(node)
        if called(node) in {"commit", "rollback", "begin", "begin_nested"}:
            yield "transaction-control", "The revision's transaction is Alembic's to begin and to end.", _line(node)


def _autocommit(tree: ast.Module) -> Iterator[Verdict]:
    for name in ("upgrade", "downgrade"):
        way = function(tree, name)
        calls = [node for node in ast.walk(way) if isinstance(node, ast.Call)] if way else []
        operations = [node for node in calls if _is_operation(node)]
        outside = [node for node in calls if called(node) in _AUTOCOMMIT]
        blocks = sum(called(node) == "autocommit_block" for node in outside)
        if outside and len(operations) + (blocks > 1) > 1:
            yield (
                "one-autocommit-operation",
                (
                    f"{name}() works outside a transaction and does more than one thing: what came before is "
                    "committed without its version. One operation a revision."
                ),
                _line(outside[0]),
            )


def _is_operation(node: ast.Call) -> bool:
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == "op" and called(node) not in {"f", "get_context", "get_bind"}


def _is_true(node: ast.expr | None) -> bool:
    return node is not None and not (isinstance(node, ast.Constant) and not node.value)


def _texts(node: ast.AST) -> str:
    return " ".join(
        child.value for child in ast.walk(node) if isinstance(child, ast.Constant) and isinstance(child.value, str)
    )


def _line(node: ast.AST) -> str:
    return f"line {getattr(node, 'lineno', 0)}"
