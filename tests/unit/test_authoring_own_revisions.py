"""Lint and seals on the revisions of this product."""

import pytest

from headhunter.commands.databases import Database, environment_of
from headhunter.commands.db_authoring import lint_rules
from migrator.authoring.chain import read_chain
from migrator.authoring.lint import lint_environment


@pytest.mark.parametrize("database", list(Database))
def test_nothing_speaks_against_our_revisions_and_none_was_edited(database):
    found = lint_environment(read_chain(environment_of(database)), lint_rules(database))

    assert [str(one) for one in found] == []


@pytest.mark.parametrize("database", list(Database))
def test_each_database_knows_the_other_ones_tables_as_foreign(database):
    own = {name.rpartition(".")[2] for name in lint_rules(database).foreign_tables}

    assert ("users" in own, "system_logs" in own) == (database is Database.LOGS, database is Database.MAIN)
