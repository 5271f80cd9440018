"""The house rules of a migration file, read from its syntax tree."""

import ast
import re

import pytest
from alembic.util import format_as_comma
from mako.template import Template

from logs_db.environment import ENVIRONMENT as LOGS
from main_db.environment import ENVIRONMENT as MAIN

ALLOWED_IMPORTS = re.compile(r"(alembic|sqlalchemy)(\.\w+)*|migrator\.ops(\.\w+)*")
SECTIONS = ("Why", "Locks", "Rollback")
GLOBALS = ("revision", "down_revision", "branch_labels", "depends_on", "compatible_with")
NAMED = {"PrimaryKeyConstraint", "ForeignKeyConstraint", "UniqueConstraint", "CheckConstraint", "Index"}
NAMED_OPERATIONS = re.compile(r"create_(index|index_concurrently|\w+_constraint|\w+_key)")

REVISIONS = {
    path: environment for environment in (MAIN, LOGS) for path in sorted((environment.folder / "versions").glob("*.py"))
}


def imported_names(tree: ast.Module) -> list[str]:
    """Every module or member that *tree* imports, functions' bodies included, as dotted names."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names += [f"{module}.{alias.name}" for alias in node.names]
    return names


def module_constants(tree: ast.Module) -> dict[str, object]:
    """The plain values that *tree* assigns at its top level."""
    return {
        target.id: statement.value.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def nameless_calls(tree: ast.Module) -> list[str]:
    """Calls that make a constraint or an index without writing its name out."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        first = call.args[0] if call.args else keywords.get("index_name", keywords.get("constraint_name"))
        anonymous = isinstance(first, ast.Constant) and first.value is None
        if (name in NAMED - {"Index"} and "name" not in keywords) or (
            (name == "Index" or NAMED_OPERATIONS.fullmatch(name)) and (first is None or anonymous)
        ):
            found.append(f"line {call.lineno}: {name} has no name")
        found += [
            f"line {call.lineno}: {name}({word}=True) leaves the name to the library"
            for word in ("unique", "index", "primary_key")
            if name == "Column" and word in keywords
        ]
        if name == "ForeignKey" and "name" not in keywords:
            found.append(f"line {call.lineno}: ForeignKey has no name")
    return found


def violations(source: str, known: frozenset[str]) -> list[str]:
    """Which rules the migration file *source* breaks; *known* are the revisions of its environment."""
    tree = ast.parse(source)
    text = ast.get_docstring(tree) or ""
    constants = module_constants(tree)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = [f"imports {name}" for name in imported_names(tree) if not ALLOWED_IMPORTS.fullmatch(name)]
    found += [f"no section {name}:" for name in SECTIONS if not re.search(rf"^{name}: \S", text, re.MULTILINE)]
    found += [f"no {name}" for name in GLOBALS if name not in constants]
    found += [f"no {name}()" for name in ("upgrade", "downgrade") if name not in functions]
    if "compatible_with" in constants and constants["compatible_with"] not in known:
        found.append(f"compatible_with names no revision: {constants['compatible_with']}")
    return found + nameless_calls(tree)


@pytest.mark.parametrize("path", REVISIONS, ids=lambda path: path.stem)
def test_a_revision_keeps_the_rules(path):
    assert violations(path.read_text(), REVISIONS[path].known_revisions) == []


@pytest.mark.parametrize("path", REVISIONS, ids=lambda path: path.stem)
def test_a_revision_is_called_by_its_id_and_subject(path):
    revision = module_constants(ast.parse(path.read_text()))["revision"]

    assert re.fullmatch(rf"{revision}_[a-z0-9_]+", path.stem)


def test_the_two_historical_revisions_keep_their_names():
    names = {path.name for path in REVISIONS if REVISIONS[path] is MAIN}

    assert "ccb0d9fd7e5b_add_systemlog_and_userinvitation_models.py" in names
    assert "3b5f7a8c9d2e_add_composite_indexes_for_system_logs.py" in names


SOUND = '''"""
Add a thing.

Why: because.
Locks: none.
Rollback: nothing is lost.
"""

import sqlalchemy as sa
from alembic import op

from migrator import ops

revision = "aaaaaaaaaaaa"
down_revision = None
branch_labels = None
depends_on = None
compatible_with = "aaaaaaaaaaaa"


def upgrade() -> None:
    op.create_index("ix_things_name", "things", ["name"])


def downgrade() -> None:
    op.drop_index("ix_things_name", "things")
'''


@pytest.mark.parametrize(
    ("written", "instead", "expected"),
    [
        ("import sqlalchemy as sa", "import main_db.models", ["imports main_db.models"]),
        ("from migrator import ops", "from migrator import lock", ["imports migrator.lock"]),
        ("    op.create_index(", "    import os\n    op.create_index(", ["imports os"]),
        ("Why: because.\n", "", ["no section Why:"]),
        ("Locks: none.", "Locks:", ["no section Locks:"]),
        ("Rollback: ", "Undo: ", ["no section Rollback:"]),
        ('compatible_with = "aaaaaaaaaaaa"', "", ["no compatible_with"]),
        ('compatible_with = "aaaaaaaaaaaa"', 'compatible_with = "b"', ["compatible_with names no revision: b"]),
        ("def downgrade", "def backwards", ["no downgrade()"]),
        ('"ix_things_name", "things", ["name"]', 'None, "things", ["name"]', ["line 22: create_index has no name"]),
        (
            'op.create_index("ix_things_name", "things", ["name"])',
            'op.create_table("things", sa.Column("id", sa.Integer(), primary_key=True))',
            ["line 22: Column(primary_key=True) leaves the name to the library"],
        ),
        (
            'op.create_index("ix_things_name", "things", ["name"])',
            'op.create_table("things", sa.UniqueConstraint("name"))',
            ["line 22: UniqueConstraint has no name"],
        ),
    ],
)
def test_a_planted_violation_is_found(written, instead, expected):
    known = frozenset({"aaaaaaaaaaaa"})
    assert violations(SOUND, known) == []
    assert written in SOUND

    assert violations(SOUND.replace(written, instead), known) == expected


@pytest.mark.parametrize("environment", [MAIN, LOGS], ids=lambda environment: environment.name)
def test_the_template_lacks_only_what_its_author_has_to_say(environment):
    known = frozenset({"aaaaaaaaaaaa", "bbbbbbbbbbbb"})
    source = Template(filename=str(environment.folder / "script.py.mako")).render(
        message="Add a thing",
        up_revision="bbbbbbbbbbbb",
        down_revision="aaaaaaaaaaaa",
        branch_labels=None,
        depends_on=None,
        create_date="2026-01-01 00:00:00+00:00",
        comma=format_as_comma,
        imports="",
        upgrades="",
        downgrades="",
    )

    assert violations(source, known) == ["no section Why:", "no section Locks:", "no section Rollback:"]
