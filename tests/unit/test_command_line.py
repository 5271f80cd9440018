"""The command line loads what it runs, and nothing else."""

import subprocess
import sys

import pytest

from headhunter.__main__ import COMMANDS


def run(*arguments, code=None):
    command = [sys.executable, *(["-c", code] if code else ["-m", "headhunter"]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("arguments", [["no-such-command"], ["up", "--no-such-option"], []])
def test_wrong_usage_ends_with_exit_code_2(arguments):
    assert run(*arguments).returncode == 2


def test_help_lists_the_commands_in_one_line_each():
    shown = run("--help")

    assert shown.returncode == 0, shown.stderr
    assert [name for name in COMMANDS if f"\n  {name} " in shown.stdout] == ["up", "worker", "api", "db", "logs"]


def test_naming_one_command_imports_no_other():
    code = """
import sys
import headhunter.__main__ as command_line
heavy = {"alembic", "sqlalchemy", "fastapi", "uvicorn", "rich", "pydantic", "psycopg", "redis"}
print(sorted(heavy & set(sys.modules)))
"""
    assert run(code=code).stdout == "[]\n"
