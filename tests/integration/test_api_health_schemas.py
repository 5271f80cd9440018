"""Schemas and indexes: each trouble, and that the command in the message ends it."""

import re

import psycopg
import pytest
from alembic import command

from api.health.index_catalog import expected_indexes, found_indexes
from logs_db.environment import ENVIRONMENT as LOGS
from logs_db.models import LogsBase
from main_db.environment import ENVIRONMENT as MAIN
from main_db.models import MainBase
from migrator.configuration import alembic_config
from migrator.lock import lock_key
from migrator.upgrade import upgrade_to_head
from tests.fixtures.api import HEALTH, check
from tests.fixtures.logs import wait_until

STATEMENT = re.compile(r"(?:CREATE|REINDEX|ALTER|DROP) [^;]*;")


@pytest.fixture
def own_client(own_stores, start_api):
    return start_api(own_stores.settings())


def repaired(connection, message):
    """Run the statements of *message* as its reader would; return them."""
    statements = STATEMENT.findall(message)
    for statement in statements:
        connection.execute(statement)
    return statements


@pytest.mark.parametrize("name", ["logs_schema", "main_schema"])
def test_a_schema_at_head_passes_and_tells_its_revision(client, name):
    result = check(client, name)

    assert (result["status"], result["unit"]) == ("pass", "revision")
    assert result["value"] == {"logs_schema": LOGS, "main_schema": MAIN}[name].head


@pytest.mark.parametrize(("environment", "own"), [(LOGS, "own_stores"), (MAIN, "own_main_stores")])
def test_a_schema_one_revision_behind_fails_until_it_is_upgraded(request, start_api, environment, own):
    stores = request.getfixturevalue(own)
    own_client = start_api(stores.settings())
    url, name = getattr(stores, environment.name), f"{environment.name}_schema"
    command.downgrade(alembic_config(environment, url=url, lose_data=True), "-1")

    behind = check(own_client, name)
    ready = own_client.get("/readyz").status_code
    upgrade_to_head(environment, url)

    assert behind["status"] == "fail"
    assert f"revision {behind['value']}, head {environment.head}" in behind["message"]
    assert f"`headhunter db upgrade {environment.name}`" in behind["message"]
    assert ready == 503
    assert check(own_client, name)["status"] == "pass"
    assert own_client.get("/readyz").status_code == 200


def test_an_empty_database_is_told_by_its_missing_tables(stores, start_api, new_database):
    result = check(start_api(stores.settings(logs_database_url=new_database())), "logs_schema")

    assert (result["status"], result["value"]) == ("fail", None)
    assert "its tables are missing" in result["message"]
    assert "start a worker" in result["message"]


def test_tables_without_a_revision_are_told(stores, start_api, new_database):
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE system_logs (id int)")

    result = check(start_api(stores.settings(logs_database_url=url)), "logs_schema")

    assert result["status"] == "fail"
    assert "tables but no revision" in result["message"]


def test_a_table_that_is_missing_at_head_is_named(own_client, own_logs):
    own_logs.execute("DROP TABLE public.dead_letters")

    result = check(own_client, "logs_schema")

    assert result["status"] == "fail"
    assert "Tables are missing although the revision says they are there: dead_letters" in result["message"]


@pytest.mark.parametrize(
    ("floor", "status", "sentence"),
    [(LOGS.head, "warn", "This release may run on it"), ("newer", "fail", "Deploy a newer release")],
)
def test_a_schema_ahead_of_this_release_is_judged_by_its_floor(own_client, own_logs, floor, status, sentence):
    own_logs.execute("UPDATE public.logs_alembic_version SET version_num = 'newest'")
    own_logs.execute("UPDATE migrator.compatibility_floor SET floor = %s", [floor])

    result = check(own_client, "logs_schema")

    assert (result["status"], result["value"]) == (status, "newest")
    assert sentence in result["message"]
    assert own_client.get("/readyz").status_code == (200 if status == "warn" else 503)


def test_swapped_urls_are_told(stores, start_api):
    client = start_api(stores.settings(database_url=stores.logs, logs_database_url=stores.main))

    for name in ("logs_schema", "main_schema"):
        assert check(client, name)["status"] == "fail"
        assert "swapped, or name one database" in check(client, name)["message"]


def test_a_schema_that_drifted_is_a_warning_that_names_the_command_that_shows_it(own_client, own_logs):
    own_logs.execute("ALTER TABLE public.dead_letters ADD COLUMN surprise int")

    result = check(own_client, "logs_schema")

    assert (result["status"], own_client.get("/readyz").status_code) == ("warn", 200)
    assert "has drifted from its revision" in result["message"]
    assert "`headhunter db check logs`" in result["message"]


def test_a_schema_that_is_being_migrated_tells_by_whom(own_client, own_logs):
    own_logs.execute("SET application_name = 'deploy 7'")
    own_logs.execute("SELECT pg_advisory_lock(%s)", [lock_key(LOGS.version_table)])

    result = check(own_client, "logs_schema")
    own_logs.execute("SELECT pg_advisory_unlock_all()")

    assert result["status"] == "warn"
    assert "is being migrated by server process" in result["message"]
    assert "(deploy 7, " in result["message"]


def test_two_revisions_in_the_version_table_are_told(own_client, own_logs):
    own_logs.execute("INSERT INTO public.logs_alembic_version VALUES ('another')")

    result = check(own_client, "logs_schema")

    assert result["status"] == "fail"
    assert "holds 2 revisions" in result["message"]


# Indexes


def test_every_index_of_the_models_is_found_by_its_name(stores):
    for url, metadata in ((stores.logs, LogsBase.metadata), (stores.main, MainBase.metadata)):
        with psycopg.connect(url) as connection:
            found = {(index.table, index.name) for index in found_indexes(connection, metadata)}
        assert {(index.table, index.name) for index in expected_indexes(metadata)} <= found


def test_all_indexes_there_pass(client):
    assert check(client, "indexes") == {
        "status": "pass",
        "value": 0,
        "unit": "indexes",
        "message": "Every index is there and valid.",
    }


@pytest.mark.parametrize(
    ("table", "index", "writes_wait"),
    [
        ("system_logs", "idx_system_logs_errors", True),
        ("system_logs", "idx_system_logs_level_created", True),
        ("dead_letters", "ix_dead_letters_reason_created_at_id", False),
    ],
)
def test_a_dropped_index_is_a_warning_with_the_statement_that_brings_it_back(
    own_client, own_logs, table, index, writes_wait
):
    definition = own_logs.execute("SELECT pg_get_indexdef(%s::regclass)", [index]).fetchone()
    own_logs.execute(f"DROP INDEX public.{index}")

    result = check(own_client, "indexes")
    statements = repaired(own_logs, result["message"])

    assert (result["status"], result["value"]) == ("warn", 1)
    assert f"Index {index} of {table} is missing" in result["message"]
    assert ("log events wait in the queue" in result["message"]) == writes_wait
    assert len(statements) == 1
    assert own_logs.execute("SELECT pg_get_indexdef(%s::regclass)", [index]).fetchone() == definition
    assert check(own_client, "indexes")["status"] == "pass"


@pytest.mark.parametrize(
    ("table", "constraint"),
    [("users", "uq_users_company_id_id"), ("users", "uq_users_lower_email"), ("jobs", "pk_jobs")],
)
def test_a_dropped_unique_index_fails_and_is_brought_back(own_main_stores, start_api, table, constraint):
    own_client = start_api(own_main_stores.settings())
    with psycopg.connect(own_main_stores.main, autocommit=True) as connection:
        is_constraint = connection.execute("SELECT 1 FROM pg_constraint WHERE conname = %s", [constraint]).fetchone()
        drop = (
            f"ALTER TABLE {table} DROP CONSTRAINT {constraint} CASCADE" if is_constraint else f"DROP INDEX {constraint}"
        )
        connection.execute(drop)

        result = check(own_client, "indexes")
        repaired(connection, result["message"])

        assert result["status"] == "fail"
        assert "doubles are not refused" in result["message"]
        assert check(own_client, "indexes")["status"] == "pass"
        again = connection.execute("SELECT 1 FROM pg_constraint WHERE conname = %s", [constraint]).fetchone()
        assert again == is_constraint


def test_an_index_whose_build_was_given_up_is_repaired_by_the_command(own_client, own_stores, own_logs):
    own_logs.execute("DROP INDEX public.ix_dead_letters_created_at_id")
    with psycopg.connect(own_stores.logs) as writer:
        writer.execute("LOCK public.dead_letters IN ROW EXCLUSIVE MODE")
        own_logs.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            own_logs.execute(
                "CREATE INDEX CONCURRENTLY ix_dead_letters_created_at_id ON public.dead_letters (created_at, id)"
            )
    own_logs.execute("RESET lock_timeout")

    result = check(own_client, "indexes")
    statements = repaired(own_logs, result["message"])

    assert (result["status"], result["value"]) == ("warn", 1)
    assert "ix_dead_letters_created_at_id of dead_letters is INVALID" in result["message"]
    assert statements == ["REINDEX INDEX CONCURRENTLY public.ix_dead_letters_created_at_id;"]
    assert check(own_client, "indexes")["status"] == "pass"


def test_a_leftover_of_a_rebuild_is_dropped_by_the_command(own_client, own_logs, own_stores, postgres):
    own_logs.execute("CREATE INDEX ix_dead_letters_created_at_id_ccnew ON public.dead_letters (created_at, id)")
    invalidate(own_stores, postgres, "ix_dead_letters_created_at_id_ccnew")

    result = check(own_client, "indexes")

    assert repaired(own_logs, result["message"]) == [
        "DROP INDEX CONCURRENTLY public.ix_dead_letters_created_at_id_ccnew;"
    ]
    assert check(own_client, "indexes")["status"] == "pass"


def invalidate(stores, postgres, *indexes):
    """Mark indexes as a build that broke off would leave them."""
    name = psycopg.conninfo.conninfo_to_dict(stores.logs)["dbname"]
    with psycopg.connect(postgres.url(name, role="postgres")) as connection:
        for index in indexes:
            connection.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [f"public.{index}"]
            )


def test_an_index_of_a_partitioned_table_without_its_partitions_is_completed(own_client, own_logs):
    own_logs.execute("DROP INDEX public.idx_system_logs_errors")
    own_logs.execute(
        "CREATE INDEX idx_system_logs_errors ON ONLY public.system_logs (created_at DESC) WHERE error_type IS NOT NULL"
    )

    result = check(own_client, "indexes")
    statements = repaired(own_logs, result["message"])

    assert result["status"] == "warn"
    assert all("CONCURRENTLY" in each or each.startswith("ALTER INDEX") for each in statements)
    assert check(own_client, "indexes")["status"] == "pass"


def test_an_invalid_index_of_one_partition_and_the_one_above_it_are_repaired(
    own_client, own_stores, own_logs, postgres
):
    (child,) = own_logs.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'idx_system_logs_errors'::regclass LIMIT 1"
    ).fetchone()
    invalidate(own_stores, postgres, child, "idx_system_logs_errors")

    result = check(own_client, "indexes")
    statements = repaired(own_logs, result["message"])

    assert (result["status"], result["value"]) == ("warn", 2)
    assert statements == [
        f"REINDEX INDEX CONCURRENTLY public.{child};",
        f"ALTER INDEX public.idx_system_logs_errors ATTACH PARTITION public.{child};",
    ]
    # An answer that a busy machine did not give within health's second says so, and is asked for again.
    wait_until(lambda: check(own_client, "indexes")["status"] == "pass")


def test_indexes_of_one_database_are_checked_though_the_other_is_away(stores, start_api):
    client = start_api(stores.settings(database_url="postgresql://app@127.0.0.1:1/none"))

    result = check(client, "indexes")

    assert result["status"] == "fail"
    assert result["message"].startswith("The main database does not answer")
    assert client.get(HEALTH).status_code == 503
