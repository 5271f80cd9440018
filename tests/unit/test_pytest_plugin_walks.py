"""The checks walk a chain once a server, and know one server from another."""

from pathlib import Path

from sqlalchemy import MetaData

from main_db.environment import ENVIRONMENT
from migrator import pytest_plugin


class MainChecks(pytest_plugin.MigrationChecks):
    """Of an environment that is there anyway; not collected, because its name does not begin with Test."""

    environment = ENVIRONMENT
    metadata = MetaData()


class Server:
    """Stands for one whose class, as a dataclass mostly, has no hash."""

    __hash__ = None  # type: ignore[assignment]  # as dataclasses do


def test_a_server_that_is_gone_hands_its_walk_down_to_no_other(monkeypatch, tmp_path: Path) -> None:
    walked = []

    def walk(*_):
        walked.append(pytest_plugin.history_walk.Walk())
        return walked[-1]

    monkeypatch.setattr(pytest_plugin, "walk_history", walk)
    monkeypatch.setattr(MainChecks, "_walks", type(MainChecks._walks)())
    for _ in range(20):
        server = Server()
        MainChecks().test_every_revision_runs(None, None, server)
        MainChecks().test_no_row_is_lost(None, None, server)
        del server

    assert len(walked) == 20
