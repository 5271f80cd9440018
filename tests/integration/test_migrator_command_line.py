"""`headhunter db` as an operator uses it, on both databases."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from headhunter.__main__ import main
from logs_db.environment import ENVIRONMENT as LOGS
from main_db.environment import ENVIRONMENT as MAIN
from migrator.lineage import read_lineage
from servers.ports import free_port
from tests.fixtures.small_environment import rows

VARIABLES = ("DATABASE_URL", "LOGS_DATABASE_URL", "LOGS_MIGRATION_DATABASE_URL")
HEADS = {"main": MAIN.head, "logs": LOGS.head}


@dataclass
class Answer:
    """What a command wrote, and how it ended."""

    returncode: int | str | None
    stdout: str
    stderr: str


@dataclass
class Operator:
    """Types commands; knows the databases by the environment only."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def knows(self, **variables: str) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def types(self, *arguments: str) -> Answer:
        """Run the command in this process, which is ten times as quick as in one of its own."""
        self.monkeypatch.setattr(sys, "argv", ["headhunter", "db", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        written = self.capsys.readouterr()
        return Answer(ended.value.code, written.out, written.err)

    def asks(self, *arguments: str) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self.types(*arguments, "--json").stdout)
        return answer


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    root, alembic = logging.getLogger(), logging.getLogger("alembic")
    handlers, levels = root.handlers[:], (root.level, alembic.level)
    yield Operator(monkeypatch, capsys)
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    alembic.setLevel(levels[1])


@pytest.fixture
def urls(operator: Operator, new_database: Callable[..., str]) -> dict[str, str]:
    urls = {"DATABASE_URL": new_database(), "LOGS_DATABASE_URL": new_database()}
    operator.knows(**urls)
    return urls


def test_the_installed_command_answers_for_a_database_in_json(urls: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headhunter", "db", "status", "logs", "--json"],
        env=os.environ | urls,
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["state"] == "empty"


@pytest.mark.usefixtures("urls")
@pytest.mark.parametrize("database", ["main", "logs"])
def test_a_database_goes_from_empty_to_head_and_back(operator: Operator, database: str) -> None:
    head = HEADS[database]
    before = operator.asks("status", database)
    upgraded = operator.types("upgrade", database)
    after = operator.asks("status", database)
    history = operator.types("history", database, "--json")
    refused = operator.types("downgrade", database, "base")
    agreed = operator.types("downgrade", database, "base", "--lose-data")

    assert (before["state"], before["revision"]) == ("empty", None)
    pending = before["pending"]
    assert isinstance(pending, list)
    assert pending[-1] == head
    assert (upgraded.returncode, upgraded.stdout) == (0, f"The {database} database is now at {head}.\n")
    assert "schema_upgraded" in upgraded.stderr
    assert (after["state"], after["revision"], after["pending"]) == ("at head", head, [])
    assert [one["revision"] for one in json.loads(history.stdout) if one["applied_at"]] == pending
    assert refused.returncode == 70
    assert "would lose" in refused.stderr
    assert "add --lose-data" in refused.stderr
    assert (agreed.returncode, agreed.stdout) == (0, f"The {database} database is now at no revision.\n")


def test_drift_ends_with_exit_code_1_and_is_told_in_lines_and_in_json(operator: Operator, urls: dict[str, str]) -> None:
    assert operator.types("upgrade", "logs").returncode == 0
    clean = operator.types("check", "logs")
    with psycopg.connect(urls["LOGS_DATABASE_URL"]) as connection:
        connection.execute("DROP INDEX idx_system_logs_errors")
        connection.execute("ALTER TABLE llm_logs ADD COLUMN surprise int")
    drifted = operator.types("check", "logs")

    assert (clean.returncode, clean.stdout) == (0, "The logs database is exactly what its revision makes.\n")
    assert drifted.returncode == 1
    assert "missing: index public.system_logs.idx_system_logs_errors" in drifted.stdout.splitlines()
    assert "unexpected: column public.llm_logs.surprise" in drifted.stdout.splitlines()
    assert operator.asks("check", "logs")["differences"] == drifted.stdout.splitlines()


def test_maintenance_by_hand_makes_the_partitions_that_are_missing(operator: Operator, urls: dict[str, str]) -> None:
    assert operator.types("upgrade", "logs").returncode == 0
    assert operator.asks("maintain", "logs")["created"]
    url = urls["LOGS_DATABASE_URL"]
    last = "SELECT max(relname::text) FROM pg_class WHERE relname ~ '^llm_logs_20' AND relkind = 'r'"
    [(name,)] = rows(url, last)
    with psycopg.connect(url) as connection:
        connection.execute(f"DROP TABLE {name}")

    assert operator.asks("maintain", "logs")["created"] == [name]
    assert operator.asks("maintain", "logs")["created"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("status", "other"),
        ("downgrade", "logs"),
        ("downgrade", "logs", "nonsense"),
        ("maintain", "main"),
        ("upgrade", "logs", "--no-such-option"),
    ],
)
def test_wrong_usage_ends_with_exit_code_2(operator: Operator, arguments: tuple[str, ...]) -> None:
    operator.knows(DATABASE_URL="postgresql://u@127.0.0.1:1/a", LOGS_DATABASE_URL="postgresql://u@127.0.0.1:1/b")

    assert operator.types(*arguments).returncode == 2


def test_all_faults_in_the_settings_are_told_together_and_without_a_password(operator: Operator) -> None:
    missing = operator.types("status", "logs")
    operator.knows(DATABASE_URL="postgresql://h/a", LOGS_DATABASE_URL="postgresql://h/a")
    same = operator.types("status", "main")
    operator.knows(DATABASE_URL="mysql://u:secret@h/d", LOGS_DATABASE_URL="postgresql://u:secret@h")
    operator.knows(LOGS_MIGRATION_ATTEMPTS="many")
    broken = operator.types("status", "main")

    assert (missing.returncode, same.returncode, broken.returncode) == (2, 2, 2)
    assert "LOGS_DATABASE_URL or LOGS_MIGRATION_DATABASE_URL is not set" in missing.stderr
    assert "name the same database" in same.stderr
    assert sorted(line.split()[0] for line in broken.stderr.splitlines()[1:]) == [
        "DATABASE_URL",
        "LOGS_DATABASE_URL",
        "LOGS_MIGRATION_ATTEMPTS",
    ]
    assert "secret" not in broken.stderr


def test_the_wrong_database_and_an_absent_server_have_their_exit_codes(
    operator: Operator, urls: dict[str, str]
) -> None:
    assert operator.types("upgrade", "main").returncode == 0
    operator.knows(LOGS_DATABASE_URL=urls["DATABASE_URL"], DATABASE_URL=urls["LOGS_DATABASE_URL"])
    swapped = operator.types("upgrade", "logs")
    operator.knows(DATABASE_URL=f"postgresql://u:secret@127.0.0.1:{free_port()}/d")
    absent = operator.types("status", "main")

    assert (swapped.returncode, absent.returncode) == (70, 75)
    assert "carries the version table of another environment" in swapped.stderr
    assert "Traceback" not in swapped.stderr + absent.stderr
    assert "secret" not in absent.stderr


def test_without_a_name_the_status_of_both_databases_is_told(operator: Operator, urls: dict[str, str]) -> None:
    assert operator.types("upgrade", "main").returncode == 0
    table = operator.types("status")
    both = operator.asks("status")
    operator.knows(LOGS_DATABASE_URL=f"postgresql://u:secret@127.0.0.1:{free_port()}/d")
    absent = operator.types("status", "--json")

    assert (table.returncode, absent.returncode) == (0, 75)
    assert [line.split()[:2] for line in table.stdout.splitlines()[1:] if line[0] != " "] == [
        ["main", "at"],
        ["logs", "empty"],
    ]
    assert {name: state["state"] for name, state in both.items()} == {"main": "at head", "logs": "empty"}
    assert json.loads(absent.stdout)["logs"]["state"] == "unreachable"
    assert json.loads(absent.stdout)["main"]["state"] == "at head"
    assert "secret" not in absent.stdout


def test_the_moves_of_a_database_are_listed_with_what_failed(operator: Operator, urls: dict[str, str]) -> None:
    assert operator.types("upgrade", "main").returncode == 0
    assert operator.types("downgrade", "main", "base").returncode == 70

    moves = json.loads(operator.types("history", "main", "--moves", "--json").stdout)
    assert [move["outcome"] for move in moves].count("failed") == 1
    assert "would lose" in moves[-1]["error"]
    assert moves[0]["code_version"].startswith("headhunter ")
    assert "failed" in operator.types("history", "main", "--moves").stdout


@pytest.mark.usefixtures("urls")
def test_a_downgrade_goes_by_steps_back(operator: Operator) -> None:
    chain = list(read_lineage(MAIN).revisions)
    assert operator.types("upgrade", "main").returncode == 0

    back = operator.types("downgrade", "main", "-1", "--lose-data")
    assert (back.returncode, back.stdout) == (0, f"The main database is now at {chain[-2]}.\n")
    assert operator.asks("downgrade", "main", "--lose-data", "-2")["revision"] == [None, *chain][-4]
    assert operator.types("downgrade", "main", "--lose-dat", "base").returncode == 2
    assert operator.types("downgrade", "main", "-x").returncode == 2


@pytest.mark.usefixtures("urls")
def test_tables_for_people_name_what_there_is(operator: Operator) -> None:
    assert operator.types("upgrade", "logs").returncode == 0

    assert f"{LOGS.head}" in operator.types("history", "logs").stdout
    assert "at head" in operator.types("status", "logs").stdout
    assert "created" in operator.types("maintain", "logs").stdout
