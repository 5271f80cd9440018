"""A conversion that was broken off and is not gone on with: what is seen of it, and how it is taken back."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from alembic import command

from headhunter.commands.db_status import show_states
from logs_db.environment import ENVIRONMENT
from migrator.configuration import alembic_config
from migrator.ops import conversion
from migrator.state import State, read_state

DEPLOYING = Path(__file__).parents[2] / "docs" / "deploying.md"
INSERT = "INSERT INTO system_logs (created_at, level, component, message) VALUES (%s, 'INFO', 'c', 'm')"


def interrupt(*_) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def left_url(filled_legacy_url, monkeypatch) -> str:
    """The legacy tables after Ctrl-C amid the conversion of the first one."""
    config = alembic_config(ENVIRONMENT, url=filled_legacy_url)
    command.stamp(config, "bc3638ffe20e")
    monkeypatch.setattr(conversion, "validate_bound", interrupt)
    with pytest.raises(KeyboardInterrupt):
        command.upgrade(config, "head")
    return filled_legacy_url


def test_the_bound_that_it_left_is_told_and_the_documented_statement_takes_it_back(left_url, capsys):
    found = read_state(ENVIRONMENT, left_url)
    show_states({"logs": found}, single=True, as_json=False)
    table = " ".join(capsys.readouterr().out.split())
    show_states({"logs": found}, single=True, as_json=True)
    [told] = json.loads(capsys.readouterr().out)["bounds"]

    assert found.state is State.BEHIND
    assert told["table"] == "public.system_logs"
    assert told["constraint"] == "system_logs_legacy_bound"
    assert told["at"] in table
    assert told["constraint"] in table
    assert f"takes no row from {told['at']} on" in found.reason
    beyond = datetime.fromisoformat(told["at"]) + timedelta(hours=1)
    with psycopg.connect(left_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(INSERT, [beyond])
        assert f"{told['cure']};\n" in DEPLOYING.read_text()
        connection.execute(told["cure"])
        connection.execute(INSERT, [beyond])
    assert read_state(ENVIRONMENT, left_url).bounds == ()
