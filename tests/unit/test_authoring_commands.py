import json

import pytest
from typer.testing import CliRunner

from headhunter.commands.db import app
from logs_db.environment import ENVIRONMENT


def run(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("database", ["main", "logs"])
def test_lint_ends_with_0_where_nothing_speaks_against_the_revisions(database):
    done = run("lint", database, "--json")

    assert (done.exit_code, json.loads(done.output)) == (0, {"database": database, "findings": []})


def test_lint_judges_one_revision_by_the_beginning_of_its_id():
    done = run("lint", "logs", "06ba")

    assert (done.exit_code, done.output) == (0, "Nothing speaks against the revisions of logs.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lint", "logs", "ffff"), "names no revision"),
        (("trace", "logs", "ffff"), "names no revision"),
        (("sql", "logs", "ffff:head"), "names no revision"),
        (("sql", "logs", "head"), "not of the form FROM:TO"),
    ],
)
def test_a_revision_that_is_not_there_is_wrong_usage(arguments, said):
    done = run(*arguments)

    assert done.exit_code == 2
    assert said in done.output


def test_sql_prints_the_way_up_and_the_way_down():
    up, down = run("sql", "logs"), run("sql", "logs", "head:base")

    assert up.exit_code == down.exit_code == 0
    assert "CREATE TABLE public.dead_letters" in up.output
    assert f"version_num='{ENVIRONMENT.head}'" in up.output
    assert "DROP TABLE public.dead_letters" in down.output
    assert "DELETE FROM logs_alembic_version" in down.output
