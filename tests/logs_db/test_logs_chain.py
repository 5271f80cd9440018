"""The logs chain: the legacy schema to the letter, the way down, plain SQL."""

import io
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic import command

from logs_db.environment import ENVIRONMENT
from migrator.configuration import alembic_config
from migrator.errors import DataLossRefusedError
from migrator.fingerprint import differences, read_fingerprint, stored_fingerprint
from migrator.upgrade import upgrade_to_head
from tests.fixtures.sql_script import statements
from tests.legacy.legacy_worker import create_tables

LEGACY = "bc3638ffe20e"
CONVERTED = "547db52b480d"
RETENTION = "224429638776"
TODAYS_COLUMNS = "06ba06c99861"

# Everything that a table is made of, the way PostgreSQL prints it.
DEFINITIONS = """
SELECT rel.relname, 'column', col.attnum::text, concat_ws(' ', col.attname, format_type(col.atttypid, col.atttypmod),
       col.attnotnull::text, pg_get_expr(def.adbin, def.adrelid), col_description(rel.oid, col.attnum))
FROM pg_class rel JOIN pg_attribute col ON col.attrelid = rel.oid AND col.attnum > 0 AND NOT col.attisdropped
LEFT JOIN pg_attrdef def ON def.adrelid = rel.oid AND def.adnum = col.attnum
WHERE rel.relkind = 'r' AND rel.relname IN ('system_logs', 'llm_logs')
UNION ALL
SELECT rel.relname, 'constraint', con.conname, pg_get_constraintdef(con.oid)
FROM pg_class rel JOIN pg_constraint con ON con.conrelid = rel.oid
WHERE rel.relkind = 'r' AND rel.relname IN ('system_logs', 'llm_logs')
UNION ALL
SELECT tablename, 'index', indexname, indexdef FROM pg_indexes WHERE tablename IN ('system_logs', 'llm_logs')
UNION ALL
SELECT relname, 'table', 'r', coalesce(relacl::text, '') || obj_description(oid, 'pg_class')
FROM pg_class WHERE relkind = 'r' AND relname IN ('system_logs', 'llm_logs')
"""
ALL_ROWS = """
SELECT (SELECT array_agg(to_jsonb(s) ORDER BY s.id) FROM system_logs s),
       (SELECT array_agg(to_jsonb(l) ORDER BY l.id) FROM llm_logs l)
"""


def definitions(url: str) -> set[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(DEFINITIONS).fetchall())


def all_rows(url: str) -> tuple[list, list]:
    with psycopg.connect(url) as connection:
        return connection.execute(ALL_ROWS).fetchone()


def test_the_first_revision_is_the_legacy_schema_to_the_letter(any_postgres, new_database):
    by_chain, by_legacy_worker = new_database(any_postgres), new_database(any_postgres)
    command.upgrade(alembic_config(ENVIRONMENT, url=by_chain), LEGACY)
    create_tables(by_legacy_worker)

    assert len(definitions(by_chain)) > 30
    assert definitions(by_chain) == definitions(by_legacy_worker)


def test_a_legacy_database_is_adopted_and_ends_like_a_new_one(filled_legacy_url):
    result = upgrade_to_head(ENVIRONMENT, filled_legacy_url)

    assert result.adopted_at == LEGACY
    with psycopg.connect(filled_legacy_url, autocommit=True) as connection:
        found = read_fingerprint(connection, ENVIRONMENT)
        rows = connection.execute("SELECT count(*), count(DISTINCT tableoid) FROM system_logs").fetchone()
    assert differences(stored_fingerprint(ENVIRONMENT, ENVIRONMENT.head), found) == []
    assert rows == (5000, 1)


def test_todays_columns_rewrite_nothing(filled_legacy_url):
    files = "SELECT array_agg(oid::regclass || ' ' || relfilenode ORDER BY oid) FROM pg_class WHERE relname ~ '_logs'"
    upgrade_config = alembic_config(ENVIRONMENT, url=filled_legacy_url)
    command.stamp(upgrade_config, LEGACY)
    command.upgrade(upgrade_config, CONVERTED)
    with psycopg.connect(filled_legacy_url) as connection:
        before = connection.execute(files).fetchone()

    command.upgrade(upgrade_config, TODAYS_COLUMNS)

    with psycopg.connect(filled_legacy_url) as connection:
        assert connection.execute(files).fetchone() == before


def test_the_way_down_and_up_again_keeps_every_legacy_row_and_value(filled_legacy_url):
    before, legacy = all_rows(filled_legacy_url), definitions(filled_legacy_url)
    config = alembic_config(ENVIRONMENT, url=filled_legacy_url, lose_data=True)
    command.stamp(config, LEGACY)
    command.upgrade(config, "head")

    command.downgrade(config, LEGACY)

    assert all_rows(filled_legacy_url) == before
    assert definitions(filled_legacy_url) == legacy
    command.upgrade(config, "head")
    with psycopg.connect(filled_legacy_url) as connection:
        assert connection.execute("SELECT count(*) FROM system_logs").fetchone() == (5000,)


# On the way down from the head stand revisions that lose nothing: indexes.
@pytest.mark.parametrize(
    ("start", "target", "kept"),
    [
        ("head", TODAYS_COLUMNS, RETENTION),
        (TODAYS_COLUMNS, CONVERTED, TODAYS_COLUMNS),
        (LEGACY, "base", LEGACY),
    ],
)
def test_a_downgrade_that_loses_data_is_refused_without_consent(database_url, start, target, kept):
    config = alembic_config(ENVIRONMENT, url=database_url)
    command.upgrade(config, start)

    with pytest.raises(DataLossRefusedError, match="lose-data=yes"):
        command.downgrade(config, target)

    with psycopg.connect(database_url) as connection:
        (revision,) = connection.execute("SELECT version_num FROM logs_alembic_version").fetchone()
    assert revision == kept


@pytest.mark.parametrize("has_rows", [False, True], ids=["empty", "filled"])
def test_the_chain_renders_as_sql_that_a_person_may_run(request, database_url, has_rows):
    config = alembic_config(ENVIRONMENT)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    script = config.output_buffer.getvalue()

    with psycopg.connect(database_url, autocommit=True) as connection:
        first, mark, rest = script.partition("-- Running upgrade bc3638ffe20e")
        connection.execute(first)
        if has_rows:
            connection.execute(
                "INSERT INTO system_logs (created_at, level, component, message) VALUES "
                "('infinity', 'INFO', 'c', 'm'), (DEFAULT, 'INFO', 'c', 'm')"
            )
        # One by one, as psql sends them: an index is built outside any transaction.
        for statement in statements(mark + rest):
            connection.execute(statement)

        found = read_fingerprint(connection, ENVIRONMENT)
        connection.execute("INSERT INTO system_logs (level, component, message) VALUES ('INFO', 'c', 'm')")
        rows = connection.execute("SELECT count(*) FROM system_logs").fetchone()[0]
    expected = ["unexpected: table public.system_logs_misdated"] if has_rows else []
    assert differences(stored_fingerprint(ENVIRONMENT, ENVIRONMENT.head), found) == expected
    assert rows == (2 if has_rows else 1)


def test_the_plain_alembic_command_works_from_any_directory(database_url, tmp_path):
    alembic = Path(sys.executable).parent / "alembic"
    environment = {**os.environ, "LOGS_DATABASE_URL": database_url, "PYTHONWARNINGS": "error"}

    for arguments in (["upgrade", "head"], ["check"], ["current", "--check-heads"]):
        done = subprocess.run(
            [alembic, "-c", ENVIRONMENT.folder / "alembic.ini", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    assert f"{ENVIRONMENT.head} (head)" in done.stdout
