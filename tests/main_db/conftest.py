"""The business database for tests: an empty one for the chain, one at head for its constraints."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Engine, NullPool, create_engine

from main_db.environment import ENVIRONMENT
from migrator import configuration
from migrator.urls import engine_url
from tests.fixtures.templates import copy_of

TOMORROW = datetime.now(UTC) + timedelta(days=1)


class Product:
    """Writes rows that are sound but for what a test says otherwise; each returns the new row's id."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def insert(self, table: str, values: dict[str, object]):
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        )
        return self.connection.execute(statement, list(values.values())).fetchone()[0]

    def company(self, **values: object):
        return self.insert("companies", {"name": "Acme", "slug": f"acme-{secrets.token_hex(4)}", **values})

    def user(self, **values: object):
        email = f"{secrets.token_hex(4)}@mail.test"
        return self.insert("users", {"email": email, "full_name": "Carl", "role": "candidate", **values})

    def staff(self, company, **values: object):
        return self.user(role="recruiter", company_id=company, **values)

    def job(self, **values: object):
        values.setdefault("company_id", None)
        values["company_id"] = values["company_id"] or self.company()
        sound = {"title": "Welder", "description": "Welds.", "workplace": "on_site", "employment_type": "full_time"}
        return self.insert("jobs", {**sound, **values})

    def application(self, **values: object):
        keys = {key: values.pop(key, None) for key in ("job_id", "candidate_id")}
        keys = {"job_id": keys["job_id"] or self.job(), "candidate_id": keys["candidate_id"] or self.user()}
        return self.insert("applications", {**keys, **values})

    def invitation(self, **values: object):
        sound = {"email": "new@acme.test", "role": "recruiter", "token_hash": secrets.token_bytes(32)}
        return self.insert("user_invitations", {**sound, "expires_at": TOMORROW, **values})

    def delete(self, table: str, key) -> None:
        self.connection.execute(sql.SQL("DELETE FROM {} WHERE id = %s").format(sql.Identifier(table)), [key])

    def update(self, table: str, key, **values: object) -> None:
        assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
        statement = sql.SQL("UPDATE {} SET {} WHERE id = %s").format(sql.Identifier(table), assignments)
        assert self.connection.execute(statement, [*values.values(), key]).rowcount == 1

    def value(self, table: str, key, column: str):
        statement = sql.SQL("SELECT {} FROM {} WHERE id = %s").format(sql.Identifier(column), sql.Identifier(table))
        row = self.connection.execute(statement, [key]).fetchone()
        return row and row[0]

    @contextmanager
    def refused_by(self, constraint: str):
        """Expect that what is done inside is refused by *constraint*; what was done before stays."""
        with pytest.raises(psycopg.IntegrityError) as caught, self.connection.transaction():
            yield
        assert caught.value.diag.constraint_name == constraint


@pytest.fixture
def alembic_config() -> Config:
    return configuration.alembic_config(ENVIRONMENT, lose_data=True)


@pytest.fixture
def migration_server(any_postgres):
    return any_postgres


@pytest.fixture
def alembic_engine(any_database_url) -> Iterator[Engine]:
    engine = create_engine(engine_url(any_database_url), poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def main_database_url(head_template, any_postgres) -> Iterator[str]:
    """The URL of a database at head that all tests share: write to it in transactions that are rolled back."""
    for name in copy_of(head_template(any_postgres, ENVIRONMENT), any_postgres):
        yield any_postgres.url(name)


@pytest.fixture
def main_connection(main_database_url) -> Iterator[psycopg.Connection]:
    """A connection to a database at head; whatever is written is gone afterwards."""
    with psycopg.connect(main_database_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def product(main_connection) -> Product:
    return Product(main_connection)
