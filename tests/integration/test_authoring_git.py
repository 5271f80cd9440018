"""Two branches that each add a revision meet in git, and one of them goes on top of the other."""

import os
import subprocess

import pytest

from migrator.authoring.chain import read_chain
from migrator.authoring.rebase import rebase
from migrator.authoring.seals import seal
from migrator.errors import EnvironmentFilesError
from tests.fixtures.shop import shop, write_revision


@pytest.fixture
def repository(tmp_path):
    """An environment in git: branch main has added cccc, branch work, which is checked out, dddd, both upon bbbb."""
    environment = shop(tmp_path / "shop")
    git(environment, "init", "-q", "-b", "main")
    write_revision(environment, "bbbb", "aaaa", "pass")
    commit(environment)
    git(environment, "checkout", "-q", "-b", "work")
    add(environment, "dddd")
    git(environment, "checkout", "-q", "main")
    add(environment, "cccc")
    git(environment, "checkout", "-q", "work")
    return environment


def git(environment, *arguments, check=True):
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *settings, *arguments], cwd=environment.folder, env=clean, check=check, capture_output=True, text=True
    )


def commit(environment):
    git(environment, "add", "-A")
    git(environment, "commit", "-q", "-m", "add a revision")


def add(environment, revision):
    """Add a revision as the tool does: what it builds upon is sealed."""
    seal(environment, read_chain(environment).revisions)
    write_revision(environment, revision, "bbbb", "pass")
    commit(environment)


@pytest.mark.parametrize("way", ["merge", "rebase"])
def test_both_conflict_in_head_txt_and_the_local_revision_goes_on_top(repository, way):
    met = git(repository, way, "main", check=False)
    assert met.returncode != 0
    assert "CONFLICT" in met.stdout
    unmerged = git(repository, "diff", "--name-only", "--diff-filter=U").stdout.split()
    assert unmerged == ["HEAD.txt"]
    with pytest.raises(EnvironmentFilesError, match=r"heads|conflict of git"):
        read_chain(repository)

    rebased = rebase(repository)

    assert (rebased.moved, rebased.onto) == (("dddd",), "cccc")
    assert [file.revision for file in read_chain(repository).revisions] == ["aaaa", "bbbb", "cccc", "dddd"]
    assert "Revises" not in read_chain(repository).get("dddd").source
    assert git(repository, "status", "--porcelain", "versions.lock").stdout.split()[:1] == ["M"]
