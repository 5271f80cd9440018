"""The errors of real servers, classified: what a table in the code cannot prove by itself."""

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from migrator.classifier import ErrorClass, classify
from migrator.connections import connect
from servers.postgres import PostgresServer
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.pooler import pooled


def raised(action: Callable[[], object]) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        action()
    return caught.value


# A statement, what its error means, and what it means to a writer.
STATEMENTS = [
    ("CREATE TABLE t (id int)", ErrorClass.LOST_RACE, ErrorClass.SCHEMA_MOVED),
    ("ALTER TABLE t ADD COLUMN id int", ErrorClass.LOST_RACE, ErrorClass.SCHEMA_MOVED),
    ("ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)", ErrorClass.LOST_RACE, ErrorClass.SCHEMA_MOVED),
    ("INSERT INTO t VALUES (1), (1)", ErrorClass.PERMANENT, ErrorClass.PERMANENT),
    ("INSERT INTO t VALUES (-1)", ErrorClass.PERMANENT, ErrorClass.PERMANENT),
    ("INSERT INTO days VALUES ('2027-01-01')", ErrorClass.NO_PARTITION, ErrorClass.NO_PARTITION),
    ("INSERT INTO versions VALUES ('a'), ('a')", ErrorClass.LOST_RACE, ErrorClass.LOST_RACE),
    ("COPY t (missing) FROM STDIN", ErrorClass.PERMANENT, ErrorClass.SCHEMA_MOVED),
    ("SELECT 1 / 0", ErrorClass.PERMANENT, ErrorClass.PERMANENT),
    ("SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(1)", ErrorClass.PERMANENT, ErrorClass.PERMANENT),
    ("BEGIN READ ONLY; INSERT INTO t VALUES (7)", ErrorClass.CONNECT_TRANSIENT, ErrorClass.CONNECT_TRANSIENT),
    ("SELECT pg_terminate_backend(pg_backend_pid())", *[ErrorClass.CONNECT_TRANSIENT] * 2),
]


def test_what_a_statement_raises_is_told_apart(any_database_url: str) -> None:
    found = []
    with psycopg.connect(any_database_url, autocommit=True) as connection:
        connection.execute("""
            CREATE TABLE t (id int PRIMARY KEY, CONSTRAINT positive CHECK (id > 0));
            CREATE TABLE days (day date) PARTITION BY RANGE (day);
            CREATE TABLE versions (version_num text, CONSTRAINT versions_pkc PRIMARY KEY (version_num));
        """)
        for statement, *_ in STATEMENTS:
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(statement)
            found.append((statement, classify(caught.value), classify(caught.value, writing=True)))
            if not connection.closed:
                connection.rollback()

    assert found == STATEMENTS


def test_two_sessions_that_create_one_table_at_once_lose_a_race(any_database_url: str) -> None:
    with psycopg.connect(any_database_url) as first, psycopg.connect(any_database_url) as second:
        first.execute("CREATE TABLE t (id int)")
        release = threading.Timer(0.2, first.commit)
        release.start()
        error = raised(lambda: second.execute("CREATE TABLE t (id int)"))
        release.join()

    assert error.sqlstate == "23505"
    assert classify(error) is ErrorClass.LOST_RACE


def test_a_lock_that_is_not_had_in_time_and_a_deadlock_are_tried_again(any_database_url: str) -> None:
    with psycopg.connect(any_database_url) as first, psycopg.connect(any_database_url) as second:
        first.execute("CREATE TABLE a (); CREATE TABLE b ()")
        first.commit()
        first.execute("LOCK a")
        second.execute("SET LOCAL lock_timeout = '50ms'; LOCK b")
        in_time = raised(lambda: second.execute("LOCK a"))
        second.rollback()
        second.execute("LOCK b")
        failures: list[psycopg.Error] = []

        def lock_b() -> None:
            try:
                first.execute("LOCK b")
            except psycopg.Error as error:
                failures.append(error)

        waiting = threading.Thread(target=lock_b)
        waiting.start()
        try:
            second.execute("LOCK a")
        except psycopg.Error as error:
            failures.append(error)
        second.rollback()
        waiting.join()

    assert [in_time.sqlstate, *[error.sqlstate for error in failures]] == ["55P03", "40P01"]
    assert {classify(error) for error in (in_time, *failures)} == {ErrorClass.LOCK_TRANSIENT}


# What is wrong with the URL, and what the failed connect means.
CHANGES = [
    ({"password": "wrong"}, ErrorClass.PERMANENT),
    ({"password": ""}, ErrorClass.PERMANENT),
    ({"user": "nobody_of_that_name"}, ErrorClass.PERMANENT),
    ({"dbname": "no_database_of_that_name"}, ErrorClass.PERMANENT),
    ({"sslmode": "require"}, ErrorClass.PERMANENT),
    ({"port": "1"}, ErrorClass.CONNECT_TRANSIENT),
    ({"host": "no-host-of-that-name.invalid"}, ErrorClass.CONNECT_TRANSIENT),
    ({"options": "-c no_setting_of_that_name=1"}, ErrorClass.PERMANENT),
    ({"options": "-c lock_timeout=soon"}, ErrorClass.PERMANENT),
]


def test_what_a_failed_connect_says_is_told_apart(any_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    found = []
    for change, _ in CHANGES:
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(make_conninfo(any_database_url, **change))
        assert caught.value.sqlstate is None
        found.append((change, classify(caught.value)))

    assert found == CHANGES


def test_roles_and_databases_that_let_nobody_in_are_permanent(
    any_postgres: TestDatabaseServer, any_database_url: str
) -> None:
    database = any_database_url.rpartition("/")[2]
    host = any_postgres.superuser_url.rpartition("@")[2].partition("/")[0]
    with psycopg.connect(any_postgres.superuser_url, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE outsider LOGIN PASSWORD 'outsider'")
        try:
            superuser.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
            url = f"postgresql://outsider:outsider@{host}/{database}"
            no_connect = raised(lambda: psycopg.connect(url))
            superuser.execute("ALTER ROLE outsider NOLOGIN")
            no_login = raised(lambda: psycopg.connect(url))
            superuser.execute("ALTER ROLE outsider LOGIN CONNECTION LIMIT 0")
            too_many = raised(lambda: psycopg.connect(url))
        finally:
            superuser.execute("DROP ROLE outsider")

    assert [classify(error) for error in (no_connect, no_login, too_many)] == [
        ErrorClass.PERMANENT,
        ErrorClass.PERMANENT,
        ErrorClass.CONNECT_TRANSIENT,
    ]


def test_a_server_that_is_full_or_shutting_down_is_tried_again(tmp_path: Path) -> None:
    settings = {"max_connections": "4", "superuser_reserved_connections": "0"}
    with PostgresServer.start(tmp_path / "postgres", durable=False, settings=settings) as server:
        url = server.create_database("full")
        held = [psycopg.connect(url) for _ in range(4)]
        full = raised(lambda: psycopg.connect(url))
        server.process.terminate()  # a smart shutdown: who is in may stay, nobody comes in
        closing = raised(lambda: [psycopg.connect(url) for _ in range(1000)])
        for connection in held:
            connection.close()

    assert "too many clients" in str(full)
    assert "shutting down" in str(closing)
    assert [classify(error) for error in (full, closing)] == [ErrorClass.CONNECT_TRANSIENT] * 2


def test_a_server_killed_in_the_middle_of_a_statement_is_tried_again(tmp_path: Path) -> None:
    with PostgresServer.start(tmp_path / "postgres", durable=False) as server:
        connection = psycopg.connect(server.create_database("killed"))
        killer = threading.Timer(0.2, server.kill)
        killer.start()
        lost = raised(lambda: connection.execute("SELECT pg_sleep(10)"))
        again = raised(lambda: connection.execute("SELECT 1"))
        killer.join()

    assert [classify(error) for error in (lost, again)] == [ErrorClass.CONNECT_TRANSIENT] * 2


def test_a_pooler_that_refuses_options_gets_a_second_try_without(any_database_url: str) -> None:
    with pooled(any_database_url) as url:
        refused = raised(lambda: psycopg.connect(url, options="-c lock_timeout=1s"))
        with connect(url, application_name="test", settings={"lock_timeout": "1s"}) as connection:
            shown = connection.execute("SHOW lock_timeout").fetchone()

    assert classify(refused) is ErrorClass.PERMANENT
    assert shown == ("0",)


def test_settings_with_spaces_and_backslashes_arrive_as_they_are(any_database_url: str) -> None:
    settings = {"search_path": 'a, "b c"', "DateStyle": "ISO, DMY", "application_name": "back\\slash"}
    with connect(any_database_url, application_name="overridden", settings=settings) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("search_path", "DateStyle", "TimeZone")]

    assert shown == [('a, "b c"',), ("ISO, DMY",), ("UTC",)]


def test_what_the_url_or_pgoptions_set_is_kept_beside_ours(
    any_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"lock_timeout": "1s"}

    def shown(url: str) -> list[object]:
        with connect(url, application_name="test", settings=settings) as connection:
            names = ("search_path", "lock_timeout", "TimeZone")
            return [connection.execute(f"SHOW {name}").fetchone() for name in names]

    expected = [("theirs",), ("1s",), ("UTC",)]
    assert shown(f"{any_database_url}?options=-c%20search_path%3Dtheirs&connect_timeout=3") == expected
    monkeypatch.setenv("PGOPTIONS", "-c search_path=theirs")
    assert shown(any_database_url) == expected
