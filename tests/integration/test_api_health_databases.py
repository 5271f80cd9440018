"""The databases themselves, dead letters, partitions: over a real PostgreSQL."""

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from logs_db.models import LogsBase
from logs_db.partitions import maintain
from tests.fixtures.api import HEALTH, as_role, check

ROLE_SENTENCE = "GRANT CREATE ON SCHEMA public TO"


def role_of(connection):
    return connection.info.user


@pytest.mark.parametrize("name", ["logs_database", "main_database"])
def test_a_database_that_answers_passes_and_says_how_fast(client, name):
    result = check(client, name)

    assert (result["status"], result["unit"]) == ("pass", "ms")
    assert 0 < result["value"] < 500


def grant_tables(connection, role, rights):
    connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    connection.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}")


@pytest.fixture
def narrow(plain_role, own_stores, own_logs, start_api):
    """A function that starts an API whose role on the logs database has only the rights given."""
    # The role comes first and so goes last, when the database that it has rights in is gone.
    role = plain_role.partition(":")[0]

    def start(rights):
        grant_tables(own_logs, role, rights)
        return start_api(own_stores.settings(logs_database_url=as_role(own_stores.logs, plain_role)))

    return start


def test_a_role_that_may_not_create_is_named_with_the_grant_that_helps(narrow, plain_role):
    result = check(narrow("SELECT, INSERT"), "logs_database")

    assert result["status"] == "warn"
    assert f"{ROLE_SENTENCE} {plain_role.partition(':')[0]};" in result["message"]
    assert "LOGS_MIGRATION_DATABASE_URL" in result["message"]


def test_a_role_that_may_not_insert_fails_and_the_grant_is_named(narrow, plain_role, own_logs):
    result = check(narrow("SELECT"), "logs_database")
    role = plain_role.partition(":")[0]

    assert result["status"] == "fail"
    grant = f"GRANT INSERT ON public.system_logs TO {role};"
    assert grant in result["message"]


def test_a_role_that_may_create_and_is_not_the_owner_is_a_warning(narrow, plain_role, own_logs):
    own_logs.execute(f"GRANT CREATE ON SCHEMA public TO {plain_role.partition(':')[0]}")

    result = check(narrow("SELECT, INSERT"), "logs_database")

    assert result["status"] == "warn"
    owned = ", ".join(sorted(table.name for table in LogsBase.metadata.sorted_tables))
    assert f"does not own {owned}" in result["message"]


def test_a_main_database_whose_role_may_not_create_names_the_migration(plain_role, own_main_stores, start_api):
    role = plain_role.partition(":")[0]
    with psycopg.connect(own_main_stores.main, autocommit=True) as connection:
        grant_tables(connection, role, "SELECT, INSERT")
    client = start_api(own_main_stores.settings(database_url=as_role(own_main_stores.main, plain_role)))

    result = check(client, "main_database")

    assert result["status"] == "warn"
    assert "`headhunter db upgrade main`" in result["message"]
    assert ROLE_SENTENCE in result["message"]


def test_a_database_that_only_reads_fails(own_stores, own_logs, start_api):
    own_logs.execute(f'ALTER DATABASE "{own_logs.info.dbname}" SET default_transaction_read_only = on')

    result = check(start_api(own_stores.settings()), "logs_database")

    assert result["status"] == "fail"
    assert "RESET default_transaction_read_only" in result["message"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"credentials": "nobody:wrong"}, "refuses the login: correct user and password in LOGS_DATABASE_URL"),
        ({"database": "none"}, "does not exist on its server"),
        ({"port": "1"}, "does not answer"),
    ],
)
def test_a_database_that_cannot_be_had_says_what_to_correct(stores, start_api, change, sentence):
    url = as_role(stores.logs, change.get("credentials", psycopg.conninfo.conninfo_to_dict(stores.logs)["user"] + ":"))
    parts = psycopg.conninfo.conninfo_to_dict(stores.logs)
    if "credentials" not in change:
        url = stores.logs.replace(parts["dbname"], change.get("database", parts["dbname"]))
        url = url.replace(f":{parts['port']}/", f":{change.get('port', parts['port'])}/")

    answer = start_api(stores.settings(logs_database_url=url)).get(HEALTH)

    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert (checks["logs_database"]["status"], checks["logs_database"]["value"]) == ("fail", None)
    assert sentence in checks["logs_database"]["message"]
    assert checks["main_database"]["status"] == "pass"
    assert "wrong" not in answer.text


# Dead letters


def dead_letter(connection, *, reason="not_json", age=timedelta()):
    connection.execute(
        "INSERT INTO public.dead_letters "
        "(id, created_at, reason, detail, source, size_bytes, sha256, raw, raw_is_complete) "
        "VALUES (%s, %s, %s, 'd', 'legacy', 1, sha256('x'), 'x', true)",
        (uuid.uuid4(), datetime.now(UTC) - age, reason),
    )


def test_no_dead_letters_of_today_pass(client, logs):
    dead_letter(logs, age=timedelta(hours=25))

    assert (check(client, "dead_letters")["status"], check(client, "dead_letters")["value"]) == ("pass", 0)


def test_dead_letters_of_today_are_counted_by_reason(client, logs):
    for _ in range(3):
        dead_letter(logs, reason="not_json")
    dead_letter(logs, reason="conflict")

    result = check(client, "dead_letters")

    assert (result["status"], result["value"]) == ("warn", 4)
    assert "not_json 3, conflict 1" in result["message"]
    assert "`headhunter logs dead-letters list`" in result["message"]


def test_dead_letters_that_were_replayed_are_rows_and_warn_no_more(client, logs):
    dead_letter(logs)
    logs.execute("UPDATE dead_letters SET replayed_at = now()")

    assert (check(client, "dead_letters")["status"], check(client, "dead_letters")["value"]) == ("pass", 0)


@pytest.mark.parametrize(("max_bytes", "status"), [(2000, "pass"), (600, "warn"), (100, "fail")])
def test_the_room_that_dead_letters_take_is_told_before_it_is_gone(stores, logs, start_api, max_bytes, status):
    for _ in range(2):
        dead_letter(logs, age=timedelta(days=9))

    result = check(start_api(stores.settings(dead_letters_max_bytes=max_bytes)), "dead_letters")

    assert result["status"] == status
    assert status == "pass" or "`headhunter logs dead-letters purge`" in result["message"]


# Partitions


def drop_partitions(connection, table, days):
    for day in days:
        connection.execute(f"DROP TABLE public.{table}_{datetime.now(UTC).date() + timedelta(days=day):%Y_%m_%d}")


def share_of_today_gone():
    now = datetime.now(UTC)
    return (now - now.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(days=1)


def test_partitions_made_ahead_pass(client):
    result = check(client, "partitions")

    assert (result["status"], result["unit"]) == ("pass", "days")
    assert result["value"] >= 7


@pytest.mark.parametrize(
    ("dropped", "status", "sentence"),
    [
        (0, "fail", "llm_logs has no partition for now"),
        (1, "fail", "The partitions of llm_logs end in "),
        (3, "warn", "The partitions of llm_logs end in "),
        (7, "pass", "Covered "),
    ],
)
def test_a_missing_partition_is_told_by_its_distance_and_maintenance_repairs_it(
    own_stores, own_logs, start_api, dropped, status, sentence
):
    client = start_api(own_stores.settings())
    drop_partitions(own_logs, "llm_logs", [dropped])

    result = check(client, "partitions")
    maintain(own_logs)

    assert result["status"] == status
    assert sentence in result["message"]
    assert result["value"] == pytest.approx(max(dropped - share_of_today_gone(), 0), abs=0.1)
    assert status == "pass" or "`headhunter db maintain logs`" in result["message"]
    assert check(client, "partitions")["status"] == "pass"
