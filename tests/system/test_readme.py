"""The commands of README.md, run as they stand, on a system that `headhunter up` has started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.logs import wait_until
from tests.fixtures.stacks import RunningStack

ROOT = Path(__file__).parents[2]
REDIS_CLI = f"""#!{sys.executable}
import sys, redis
print(redis.Redis.from_url(sys.argv[2]).execute_command(*sys.argv[3:]))
"""


def blocks(language: str) -> list[str]:
    """The code blocks of README.md in *language*, without those that make runs."""
    found = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [block for block in found if not block.startswith("make ")]


@pytest.fixture
def stack(tmp_path):
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    running = RunningStack(tmp_path)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def run(command: list[str], stack: RunningStack) -> str:
    """Run *command* in the stack's folder with what stack.env holds; it must succeed."""
    tools = stack.folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "redis-cli").write_text(REDIS_CLI)
    (tools / "redis-cli").chmod(0o755)
    environment = os.environ | stack.wait_ready() | {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=stack.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def count(stack: RunningStack, query: str) -> int:
    with psycopg.connect(stack.wait_ready()["LOGS_DATABASE_URL"]) as connection:
        return connection.execute(query).fetchone()[0]


def test_the_commands_of_the_readme_do_what_it_says(stack):
    shown = "".join(run(["sh", "-ec", block], stack) for block in blocks("sh"))
    for block in blocks("python"):
        run([sys.executable, "-c", block], stack)

    assert '"status"' in shown
    assert "at head" in shown
    wait_until(lambda: count(stack, "SELECT count(*) FROM system_logs WHERE component = 'mailer'") == 1)
    wait_until(lambda: count(stack, "SELECT count(*) FROM system_logs WHERE service = 'billing'") == 1)
    wait_until(lambda: count(stack, "SELECT count(*) FROM llm_logs WHERE completion_tokens = 40") == 1)


def test_the_troubleshooting_has_an_entry_for_each_documented_trouble():
    text = (ROOT / "README.md").read_text().partition("## Troubleshooting")[2]

    for check in ("logs_schema", "main_schema", "queue", "workers", "indexes", "recent_writes", "durability"):
        assert f"`{check}`" in text
