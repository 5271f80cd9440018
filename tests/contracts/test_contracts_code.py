"""The house rules of the code itself: sizes, names, explained exceptions, the lock file."""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
FOLDERS = [*PACKAGES, "scripts", "benchmarks", "tests"]
MAX_FUNCTION_LINES = 40
MAX_MODULE_LINES = 300
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
EXCEPTION = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)(?P<rule>: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*|\[[\w, -]+\])?(?:\s+(?P<reason>\S.*))?"
)


def modules() -> Iterator[Path]:
    """Every Python file of the house but the revisions, which may be as long as their DDL."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if "versions" not in path.parts and ".venv" not in path.parts:
                yield path


def span(node: ast.AST) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code: no blank line, no comment, no docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(span(node))
    return lines


def long_functions(source: str) -> list[str]:
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(span(node)) > MAX_FUNCTION_LINES
    ]
    # Most modules have none that is long even with its comments: only the others are worth counting.
    lines = code_lines(source) if functions else set()
    counted = {node.name: len(lines.intersection(span(node))) for node in functions}
    return [f"{name}: {count} lines of code" for name, count in counted.items() if count > MAX_FUNCTION_LINES]


def shadowing(path: Path) -> bool:
    return path.stem in sys.stdlib_module_names and path.stem != "__main__"


def unexplained_ignores(toml: str) -> list[str]:
    """The lines of ruff's ignore lists that end without a comment."""
    section = re.split(r"^\[(?!tool\.ruff)", toml[toml.index("[tool.ruff.lint]") :], maxsplit=1, flags=re.MULTILINE)[0]
    lists = re.findall(r"^[^\n#]*=\s*\[(.*?)\][ \t]*(#\s*\S[^\n]*)?$", section, re.MULTILINE | re.DOTALL)
    found = []
    for inside, behind in lists:
        rows = [row.strip() for row in inside.strip().splitlines()] or [""]
        found += [row for row in rows if re.search(r'"[A-Z]{1,4}\d*"', row) and "#" not in row and not behind]
    return [row for row in found if '"ALL"' not in row]


def unexplained_exceptions(source: str) -> list[str]:
    """The ``noqa`` and ``type: ignore`` comments that name no rule, or give no reason on their line or just above."""
    lines = [*source.splitlines(), ""]
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (exception := EXCEPTION.search(token.string)):
            above = lines[token.start[0] - 2] if token.start[0] > 1 else ""
            explained_above = above.strip().startswith("# ") or (
                (other := EXCEPTION.search(above)) and other["rule"] == exception["rule"] and other["reason"]
            )
            if not exception["rule"] or not (exception["reason"] or explained_above):
                found.append(token.string)
    return found


def test_no_function_has_more_than_40_lines_of_code():
    found = [f"{path.relative_to(ROOT)}: {line}" for path in modules() for line in long_functions(path.read_text())]

    assert not found, "\n".join(found)


def test_no_module_has_more_than_300_lines():
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in modules()}

    assert {path: length for path, length in lengths.items() if length > MAX_MODULE_LINES} == {}


def test_a_function_of_41_lines_is_found_and_one_of_40_is_not():
    body = '    """Say\n    nothing."""\n\n    # why\n' + "    x = 1\n" * 39
    fits = f"def fits():\n{body}"
    too_long = f"async def too_long():\n{body}    y = '''\n'''\n"

    assert long_functions(fits) == []
    assert long_functions(fits + too_long) == ["too_long: 42 lines of code"]


def test_no_module_shadows_the_standard_library():
    assert [str(path.relative_to(ROOT)) for path in modules() if shadowing(path)] == []


@pytest.mark.parametrize(("name", "verdict"), [("queue.py", True), ("logging.py", True), ("event_queue.py", False)])
def test_a_name_of_the_standard_library_is_recognised(name, verdict):
    assert shadowing(Path("worker", name)) is verdict


def test_every_ruff_exception_carries_its_reason():
    assert unexplained_ignores((ROOT / "pyproject.toml").read_text()) == []


def test_a_ruff_exception_without_a_reason_is_found():
    toml = (ROOT / "pyproject.toml").read_text()
    planted = toml.replace("[tool.ruff.lint]\n", '[tool.ruff.lint]\nextend-ignore = ["E741"]\n', 1)
    stripped = re.sub(r'("COM812",).*', r"\1", toml, count=1)

    assert unexplained_ignores(planted) == ['"E741"']
    assert unexplained_ignores(stripped) == ['"COM812",']


def test_every_exception_in_the_code_names_its_rule_and_reason():
    found = [
        f"{path.relative_to(ROOT)}: {line}" for path in modules() for line in unexplained_exceptions(path.read_text())
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1  # noqa\n", ["# noqa"]),
        ("x = 1  # noqa: E501\n", ["# noqa: E501"]),
        ("x = 1  # type: ignore\n", ["# type: ignore"]),
        ("# words\nx = 1  # noqa\n", ["# noqa"]),
        ("x = 1  # noqa: E501 - one word\nx = 1  # noqa: S101\n", ["# noqa: S101"]),
        ("x = 1  # noqa: E501 - one word\nx = 1  # noqa: E501\n", []),
        ("x = 1  # noqa: E501 - the address is one word\n", []),
        ("# The address is one word.\nx = 1  # noqa: E501\n", []),
        ("x = 1  # type: ignore[misc]  # the stubs say otherwise\n", []),
    ],
)
def test_an_exception_in_the_code_is_judged(source, found):
    assert unexplained_exceptions(source) == found


def test_the_lock_file_names_no_index_and_a_hash_for_each_package():
    text = (ROOT / "requirements.lock").read_text()
    requirements = re.split(r"^(?=[A-Za-z0-9])", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]

    assert len(requirements) > 20
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links", text) == []
    assert [row for row in requirements if not re.match(r"\S+==\S+.*--hash=sha256:[0-9a-f]{64}", row, re.DOTALL)] == []
