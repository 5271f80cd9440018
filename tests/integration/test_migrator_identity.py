"""Sameness of two databases, judged connected."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from migrator.errors import PermanentError
from migrator.identity import same_database
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.small_environment import rows, small_environment


@pytest.fixture(params=[True, False], ids=["may ask for the system identifier", "may not"])
def databases(
    request: pytest.FixtureRequest, any_postgres: TestDatabaseServer, new_database: Callable[..., str]
) -> tuple[str, str]:
    urls = new_database(any_postgres), new_database(any_postgres)
    grant = "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC"
    revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
    for url in urls:
        database = url.rpartition("/")[2]
        with psycopg.connect(any_postgres.superuser_url.rpartition("/")[0] + f"/{database}") as connection:
            connection.execute(grant if request.param else revoke)
    return urls


def test_two_urls_of_one_database_are_one(databases: tuple[str, str]) -> None:
    other_spelling = databases[0].replace("127.0.0.1", "localhost") + "?application_name=another"
    with psycopg.connect(databases[0]) as first, psycopg.connect(other_spelling, autocommit=True) as second:
        assert same_database(first, second)


def test_two_databases_of_one_server_are_two(databases: tuple[str, str]) -> None:
    with psycopg.connect(databases[0]) as first, psycopg.connect(databases[1]) as second:
        assert not same_database(first, second)


@pytest.mark.parametrize("may_ask", [True, False])
def test_databases_of_two_servers_are_two(tmp_path: Path, database_url: str, may_ask: bool) -> None:
    with PostgresServer.start(tmp_path / "other", durable=False) as other:
        url = other.create_database("other")
        if not may_ask:
            with psycopg.connect(other.superuser_url.rpartition("/")[0] + "/other") as connection:
                connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        with psycopg.connect(database_url) as first, psycopg.connect(url) as second:
            assert not same_database(first, second)


def test_a_url_for_changes_that_leads_to_another_database_is_refused_and_nothing_is_run(
    tmp_path: Path, databases: tuple[str, str]
) -> None:
    small = small_environment(tmp_path, direct_url_variable="SMALL_DIRECT_URL").add("r1")
    with pytest.raises(PermanentError, match=r"lead to two databases.*Nothing was changed\. Correct SMALL_DIRECT_URL"):
        upgrade_to_head(small.environment, databases[0], ddl_url=databases[1])
    assert [rows(url, "SELECT to_regclass('small_version')") for url in databases] == [[(None,)], [(None,)]]

    other_spelling = databases[0].replace("127.0.0.1", "localhost")
    assert upgrade_to_head(small.environment, databases[0], ddl_url=other_spelling).after.revision == "r1"
    # At head nothing is changed, so that nobody asks.
    assert not upgrade_to_head(small.environment, databases[0], ddl_url=databases[1]).changed
