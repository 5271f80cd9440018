"""What PostgreSQL's own catalog says about a database at head."""

import psycopg
import pytest
from sqlalchemy import create_engine

from main_db.environment import ENVIRONMENT
from main_db.models import MainBase
from migrator.fingerprint import differences, read_fingerprint, stored_fingerprints
from migrator.fingerprint_files import computed_fingerprints
from migrator.urls import engine_url

# What the revisions make beyond the models.
TRIGGERS = [
    "unexpected: function public.set_status_changed_at()",
    "unexpected: function public.set_updated_at()",
    "unexpected: trigger public.applications.applications_set_status_changed_at",
    *(f"unexpected: trigger public.{table}.{table}_set_updated_at" for table in sorted(MainBase.metadata.tables)),
]

FOREIGN_KEYS_WITHOUT_INDEX = """
SELECT con.conname FROM pg_constraint con
WHERE con.contype = 'f' AND con.connamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_index idx WHERE idx.indrelid = con.conrelid AND idx.indisvalid AND idx.indpred IS NULL
    AND (idx.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)
"""


@pytest.fixture
def models_url(any_database_url):
    """A database whose tables the models made, without any migration."""
    engine = create_engine(engine_url(any_database_url))
    MainBase.metadata.create_all(engine)
    engine.dispose()
    return any_database_url


def test_the_chain_ends_in_exactly_what_the_models_describe(main_connection, models_url):
    with psycopg.connect(models_url) as connection:
        described = read_fingerprint(connection, ENVIRONMENT)

    assert len(described) > 100
    assert sorted(differences(described, read_fingerprint(main_connection, ENVIRONMENT))) == sorted(TRIGGERS)


def test_the_stored_fingerprints_are_what_the_revisions_make(any_database_url):
    assert stored_fingerprints(ENVIRONMENT) == computed_fingerprints(ENVIRONMENT, any_database_url)


def test_every_foreign_key_has_an_index(main_connection):
    assert main_connection.execute(FOREIGN_KEYS_WITHOUT_INDEX).fetchall() == []


def test_a_foreign_key_without_an_index_is_found(main_connection):
    main_connection.execute("DROP INDEX ix_jobs_created_by_id")

    assert main_connection.execute(FOREIGN_KEYS_WITHOUT_INDEX).fetchall() == [("fk_jobs_created_by_id_users",)]


def test_there_is_no_enum_type(main_connection):
    assert main_connection.execute("SELECT typname FROM pg_type WHERE typtype = 'e'").fetchall() == []
