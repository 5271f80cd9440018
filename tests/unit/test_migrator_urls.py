"""PostgreSQL URLs: what is understood, what is refused, and that no password is ever shown."""

import psycopg
import pytest
from sqlalchemy import create_engine

from migrator.urls import checked_postgres_url, engine_url, without_password

GOOD = [
    ("postgresql://app:secret@db:5432/logs", "postgresql://app:secret@db:5432/logs"),
    ("  postgresql://app@db/logs\n", "postgresql://app@db/logs"),
    ("postgres://app@db/logs", "postgresql://app@db/logs"),
    ("postgresql+psycopg://app@db/logs", "postgresql://app@db/logs"),
    ("postgresql:///logs?host=/run/postgresql", "postgresql:///logs?host=/run/postgresql"),
    (
        "postgresql://a:1,b:2/logs?target_session_attrs=primary",
        "postgresql://a:1,b:2/logs?target_session_attrs=primary",
    ),
]
BAD = [
    "",
    "secret",
    "secret@db/logs",
    "mysql://app:secret@db/logs",
    "secret://app:secret@db/logs",
    "postgresql+psycopg2://app:secret@db/logs",
    "postgresql://app:secret@db",
    "postgresql://app:secret@db/",
    "postgresql://app:se%zzsecret@db/logs",
    "postgresql://app:secret@db:port/logs",
    "postgresql://app:secret@db:99999/logs",
    "postgresql://app:secret@db/logs?nonsense=secret",
    "postgresql://app:secret@[::1/logs",
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_a_postgres_url_is_understood_as_it_is(text: str, expected: str) -> None:
    assert checked_postgres_url(text) == expected


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_without_showing_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        checked_postgres_url(text)

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_percent_signs_in_a_password_reach_the_driver_decoded() -> None:
    engine = create_engine(engine_url("postgresql://app:p%40%25w@db:5432/logs?sslmode=disable"))

    _, arguments = engine.dialect.create_connect_args(engine.url)

    arguments.pop("context", None)
    assert arguments == {
        "user": "app",
        "password": "p@%w",
        "host": "db",
        "port": "5432",
        "dbname": "logs",
        "sslmode": "disable",
    }


def test_several_hosts_reach_the_driver_in_order() -> None:
    engine = create_engine(engine_url("postgresql://a:1,b:2/logs"))

    _, arguments = engine.dialect.create_connect_args(engine.url)

    assert (arguments["host"], arguments["port"]) == ("a,b", "1,2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://app:secret@db:5432/logs", "app@db:5432/logs"),
        ("postgresql:///logs", "the local socket/logs"),
        ("postgresql://app:se%zzsecret@db/logs", "postgresql://..."),
    ],
)
def test_messages_name_user_host_and_database_only(text: str, expected: str) -> None:
    assert without_password(text) == expected


def test_what_is_accepted_is_accepted_by_libpq() -> None:
    for text, _ in GOOD:
        assert psycopg.conninfo.conninfo_to_dict(checked_postgres_url(text))["dbname"] == "logs"
