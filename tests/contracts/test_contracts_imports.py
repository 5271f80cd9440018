"""Each import contract of pyproject.toml is broken by a planted import, and by that alone."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in CONFIGURATION["contracts"]]

LAYERS = "Imports point downwards"
AUTHORING = "Only the command line and the tests reach migrator.authoring"
SERVERS = "Only migrator.authoring and migrator.pytest_plugin may start servers"
WORKER = "The worker never reaches the main database"
LOG_EVENTS = "log_events needs the standard library, the Redis client and the codec only"
MIGRATOR = "The core of migrator needs Alembic, SQLAlchemy, psycopg and tenacity only"
SERVERS_ALONE = "servers needs the standard library only"
ARCHIVE = "Nobody needs the archive's packages to start"

PLANTED = [
    pytest.param("main_db", "import logs_db.planted_target", {LAYERS}, id="main_db reaches logs_db"),
    pytest.param("logs_db", "import main_db.planted_target", {LAYERS}, id="logs_db reaches main_db"),
    pytest.param("api", "import worker.planted_target", {LAYERS}, id="api reaches worker"),
    pytest.param("migrator", "import main_db.planted_target", {LAYERS}, id="migrator reaches main_db"),
    pytest.param("worker", "import headhunter.planted_target", {LAYERS}, id="worker reaches headhunter"),
    pytest.param("logs_db", "import servers.planted_target", {SERVERS}, id="logs_db starts servers"),
    pytest.param("migrator", "import servers.planted_target", {SERVERS}, id="migrator starts servers"),
    pytest.param("worker", "import migrator.authoring.chain", {AUTHORING}, id="worker reaches migrator.authoring"),
    pytest.param("worker", "import main_db.planted_target", {WORKER}, id="worker reaches main_db"),
    pytest.param("log_events", "import sqlalchemy", {LOG_EVENTS}, id="log_events takes up SQLAlchemy"),
    pytest.param("log_events", "import pydantic", {LOG_EVENTS}, id="log_events takes up pydantic"),
    pytest.param("migrator", "import redis", {MIGRATOR}, id="migrator takes up Redis"),
    pytest.param("migrator", "import pytest", {MIGRATOR}, id="migrator takes up pytest"),
    pytest.param("servers", "import sqlalchemy", {SERVERS_ALONE}, id="servers takes up SQLAlchemy"),
    pytest.param("logs_db", "import pyarrow", {ARCHIVE}, id="logs_db takes up pyarrow"),
]


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("imports")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for package in CONFIGURATION["root_packages"]:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
        # An empty module, so that a planted import brings nothing along but itself.
        (tree / package / "planted_target.py").touch()
    return tree


def broken_contracts(tree: Path) -> set[str]:
    """The names of the contracts that lint-imports finds broken in *tree*."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--cache-dir", tree / "cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE))
    assert set(verdicts) == set(CONTRACTS), done.stdout + done.stderr
    assert done.returncode == ("BROKEN" in verdicts.values())
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


def test_the_rooms_keep_every_import_contract(copied_tree):
    assert broken_contracts(copied_tree) == set()


@pytest.mark.parametrize(("package", "statement", "expected"), PLANTED)
def test_a_planted_import_breaks_exactly_its_contract(copied_tree, package, statement, expected):
    planted = copied_tree / package / "planted.py"
    planted.write_text(f"{statement}\n")
    try:
        assert broken_contracts(copied_tree) == expected
    finally:
        planted.unlink()


def test_every_contract_has_a_planted_violation():
    proven = {name for case in PLANTED for name in case.values[2]}

    assert proven == set(CONTRACTS)
