"""Revisions that shut older code out: asked first, waited for, refused."""

import threading
from pathlib import Path

import pytest

from migrator.budgets import Budgets
from migrator.errors import TemporaryError
from migrator.upgrade import upgrade_to_head
from tests.fixtures.small_environment import SmallEnvironment, rows, small_environment

SHORT = Budgets(peer_seconds=0.1)


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    return small_environment(tmp_path).add("r1").add("r2", compatible_with="r1")


def at(url: str) -> object:
    return rows(url, "SELECT version_num FROM small_version")[0][0]


def forbidden() -> set[str]:
    raise AssertionError("nobody is to be asked")


def test_nobody_is_asked_where_the_database_is_empty_or_the_floor_stays(
    small: SmallEnvironment, database_url: str
) -> None:
    upgrade_to_head(small.environment, database_url, running_revisions=forbidden)
    small.add("r3", compatible_with="r1")
    upgrade_to_head(small.environment, database_url, running_revisions=forbidden)

    assert at(database_url) == "r3"


def test_a_program_of_older_code_is_waited_for_until_it_ends(
    small: SmallEnvironment, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade_to_head(small.environment, database_url)
    small.add("r3", compatible_with="r2")
    running = {"r1", "r2", "r9_of_newer_code"}
    end = threading.Timer(0.3, running.discard, ("r1",))
    end.start()

    upgrade_to_head(small.environment, database_url, running_revisions=lambda: running)

    end.join()
    assert at(database_url) == "r3"
    assert [record.event for record in caplog.records if record.levelname == "WARNING"] == ["older_code_awaited"]


def test_a_program_of_older_code_that_stays_ends_in_a_refusal_with_nothing_run(
    small: SmallEnvironment, database_url: str
) -> None:
    upgrade_to_head(small.environment, database_url)
    small.add("r3", compatible_with="r1").add("r4")

    with pytest.raises(TemporaryError, match=r"older than r4 stops working, but programs of revision r1, r2 still run"):
        upgrade_to_head(small.environment, database_url, budgets=SHORT, running_revisions=lambda: {"r2", "r1"})

    assert at(database_url) == "r2"


def test_where_nobody_can_be_asked_nothing_is_run(small: SmallEnvironment, database_url: str) -> None:
    upgrade_to_head(small.environment, database_url)
    small.add("r3")

    def away() -> set[str]:
        raise TemporaryError("the heartbeats cannot be read")

    with pytest.raises(TemporaryError, match="it cannot be told which programs run: the heartbeats cannot be read"):
        upgrade_to_head(small.environment, database_url, budgets=SHORT, running_revisions=away)

    assert at(database_url) == "r2"
