"""What PostgreSQL's own catalog says about a database at head."""

import psycopg
import pytest
from sqlalchemy import create_engine

from main_db.models import MainBase
from migrator.urls import engine_url

# Everything that a table is made of, the way PostgreSQL prints it: what autogenerate does not compare included.
DEFINITIONS = """
SELECT rel.relname, 'column', col.attname,
       concat_ws(' ', format_type(col.atttypid, col.atttypmod), col.attnotnull::text,
                 pg_get_expr(def.adbin, def.adrelid), col_description(rel.oid, col.attnum))
FROM pg_class rel JOIN pg_attribute col ON col.attrelid = rel.oid AND col.attnum > 0 AND NOT col.attisdropped
LEFT JOIN pg_attrdef def ON def.adrelid = rel.oid AND def.adnum = col.attnum
WHERE rel.relkind = 'r' AND rel.relnamespace = 'public'::regnamespace AND rel.relname = ANY(%(tables)s)
UNION ALL
SELECT rel.relname, 'constraint', con.conname, pg_get_constraintdef(con.oid)
FROM pg_class rel JOIN pg_constraint con ON con.conrelid = rel.oid AND con.contype <> 'n'
WHERE rel.relname = ANY(%(tables)s)
UNION ALL
SELECT tablename, 'index', indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%(tables)s)
UNION ALL
SELECT rel.relname, 'table', '', obj_description(rel.oid, 'pg_class')
FROM pg_class rel WHERE rel.relkind = 'r' AND rel.relname = ANY(%(tables)s)
"""

FOREIGN_KEYS_WITHOUT_INDEX = """
SELECT con.conname FROM pg_constraint con
WHERE con.contype = 'f' AND con.connamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_index idx WHERE idx.indrelid = con.conrelid AND idx.indisvalid AND idx.indpred IS NULL
    AND (idx.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)
"""


def definitions(connection: psycopg.Connection) -> set[tuple[str, ...]]:
    return set(connection.execute(DEFINITIONS, {"tables": list(MainBase.metadata.tables)}).fetchall())


@pytest.fixture
def models_url(any_database_url):
    """A database whose tables the models made, without any migration."""
    engine = create_engine(engine_url(any_database_url))
    MainBase.metadata.create_all(engine)
    engine.dispose()
    return any_database_url


def test_the_chain_ends_in_exactly_what_the_models_describe(main_connection, models_url):
    with psycopg.connect(models_url) as connection:
        described = definitions(connection)

    assert len(described) > 100
    assert definitions(main_connection) == described


def test_every_foreign_key_has_an_index(main_connection):
    assert main_connection.execute(FOREIGN_KEYS_WITHOUT_INDEX).fetchall() == []


def test_a_foreign_key_without_an_index_is_found(main_connection):
    main_connection.execute("DROP INDEX ix_jobs_created_by_id")

    assert main_connection.execute(FOREIGN_KEYS_WITHOUT_INDEX).fetchall() == [("fk_jobs_created_by_id_users",)]


def test_there_is_no_enum_type(main_connection):
    assert main_connection.execute("SELECT typname FROM pg_type WHERE typtype = 'e'").fetchall() == []


def test_every_table_keeps_its_updated_at_by_a_trigger(main_connection):
    found = main_connection.execute(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'set_updated_at'::regproc"
    ).fetchall()

    assert {table for (table,) in found} == set(MainBase.metadata.tables)
