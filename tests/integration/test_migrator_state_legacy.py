"""Legacy logs databases in every state they are found in: taken over, or refused with the SQL that repairs them."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic import command
from psycopg import sql

from logs_db.environment import ENVIRONMENT
from migrator import adoption
from migrator.configuration import alembic_config
from migrator.errors import AdoptionRefusedError, PermanentError
from migrator.repair import LOSES_DATA
from migrator.upgrade import upgrade_to_head
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.small_environment import rows

LEGACY = (Path(__file__).parents[1] / "legacy" / "create_tables.sql").read_text(encoding="utf-8")
BASE = "bc3638ffe20e"
ROW = "INSERT INTO system_logs (level, component, message) VALUES ('INFO', 'legacy', 'kept')"
CATALOG = """
SELECT 'class', oid, xmin::text, ctid::text FROM pg_class
UNION ALL SELECT 'attribute', attrelid, xmin::text, attname::text FROM pg_attribute
UNION ALL SELECT 'index', indexrelid, xmin::text, ctid::text FROM pg_index
UNION ALL SELECT 'constraint', oid, xmin::text, ctid::text FROM pg_constraint
UNION ALL SELECT 'namespace', oid, xmin::text, ctid::text FROM pg_namespace
ORDER BY 1, 2, 3, 4
"""
CONVERSION_BEGUN = """
CREATE UNIQUE INDEX pk_system_logs_legacy ON system_logs (created_at, id);
ALTER TABLE system_logs ADD CONSTRAINT system_logs_legacy_bound CHECK (created_at < '2100-01-01 00:00+00') NOT VALID
"""
VERSIONED = f"""
CREATE TABLE logs_alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO logs_alembic_version VALUES ('{BASE}')
"""


@dataclass(frozen=True)
class Legacy:
    """A legacy database that is refused: what was done to it, and what the refusal shows of that."""

    done: str
    shown: str
    repaired_by: str
    loses_data: bool = False


REFUSED = {
    "extra index": Legacy(
        "CREATE INDEX by_user ON system_logs (user_id)",
        "unexpected: index public.system_logs.by_user",
        "DROP INDEX CONCURRENTLY public.by_user;",
    ),
    "missing index": Legacy(
        "DROP INDEX idx_system_logs_errors",
        "missing: index public.system_logs.idx_system_logs_errors",
        "CREATE INDEX CONCURRENTLY idx_system_logs_errors ON public.system_logs",
    ),
    "INVALID index": Legacy(
        "INVALID",
        "index public.system_logs.idx_system_logs_errors: invalid is true",
        "REINDEX INDEX CONCURRENTLY public.idx_system_logs_errors;",
    ),
    "other predicate": Legacy(
        "DROP INDEX idx_system_logs_errors; "
        "CREATE INDEX idx_system_logs_errors ON system_logs (created_at DESC) WHERE error_message IS NOT NULL",
        "WHERE (error_message IS NOT NULL)",
        "WHERE (error_type IS NOT NULL);",
    ),
    "half the tables": Legacy(
        "DROP TABLE llm_logs", "missing: table public.llm_logs", "CREATE TABLE public.llm_logs ("
    ),
    "half-finished conversion without a version": Legacy(
        CONVERSION_BEGUN,
        "unexpected: constraint public.system_logs.system_logs_legacy_bound",
        "ALTER TABLE public.system_logs DROP CONSTRAINT system_logs_legacy_bound;",
    ),
    "extra column": Legacy(
        "ALTER TABLE system_logs ADD COLUMN hostname text",
        "unexpected: column public.system_logs.hostname",
        "-- loses data: ALTER TABLE public.system_logs DROP COLUMN hostname;",
        loses_data=True,
    ),
    "missing column": Legacy(
        "ALTER TABLE llm_logs DROP COLUMN extra_data",
        "missing: column public.llm_logs.extra_data",
        "ALTER TABLE public.llm_logs ADD COLUMN extra_data jsonb;",
    ),
    "other type": Legacy(
        "ALTER TABLE llm_logs ALTER COLUMN latency_ms TYPE bigint",
        'type is "bigint", expected "integer"',
        "ALTER TABLE public.llm_logs ALTER COLUMN latency_ms TYPE integer USING latency_ms::integer;",
    ),
    "other default": Legacy(
        "ALTER TABLE system_logs ALTER COLUMN created_at SET DEFAULT clock_timestamp()",
        'default is "clock_timestamp()", expected "now()"',
        "ALTER TABLE public.system_logs ALTER COLUMN created_at SET DEFAULT now();",
    ),
    "other collation": Legacy(
        'ALTER TABLE system_logs ALTER COLUMN message TYPE text COLLATE "C"',
        "public.system_logs.message: collation is",
        'ALTER TABLE public.system_logs ALTER COLUMN message TYPE text COLLATE "default" USING message::text;',
    ),
    "column may be null": Legacy(
        "ALTER TABLE system_logs ALTER COLUMN level DROP NOT NULL",
        "public.system_logs.level: not null is not set, expected true",
        "ALTER TABLE public.system_logs ALTER COLUMN level SET NOT NULL;",
    ),
    "view on top": Legacy(
        "CREATE VIEW errors AS SELECT * FROM system_logs WHERE error_type IS NOT NULL",
        "unexpected: table public.errors",
        "DROP VIEW public.errors;",
    ),
    "foreign key on top": Legacy(
        "CREATE TABLE notes (log_id uuid REFERENCES system_logs)",
        "unexpected: table public.notes",
        "-- loses data: DROP TABLE public.notes;",
        loses_data=True,
    ),
}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    # That a database is looked at again is the subject of other tests.
    monkeypatch.setattr(adoption, "_LOOKS", 1)


@pytest.fixture
def legacy_url(any_database_url: str) -> str:
    return as_legacy(any_database_url)


def as_legacy(url: str) -> str:
    run(url, LEGACY)
    run(url, ROW)
    return url


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements)


def spoil(url: str, done: str) -> None:
    if done != "INVALID":
        run(url, done)
        return
    run(url, "DROP INDEX idx_system_logs_errors")
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as builder:
        holder.execute("LOCK TABLE system_logs IN ROW EXCLUSIVE MODE")
        builder.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute(
                "CREATE INDEX CONCURRENTLY idx_system_logs_errors ON system_logs (created_at DESC) "
                "WHERE error_type IS NOT NULL"
            )


def statements_logged(server: TestDatabaseServer) -> int:
    """How many statements that change anything the server has logged, where it logs them and the log is ours."""
    folder = getattr(server, "folder", None)
    return len(re.findall(r"LOG:  (statement|execute)", (folder / "server.log").read_text())) if folder else 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_revision_makes_is_refused_nothing_is_run_and_the_sql_shown_repairs_it(
    any_postgres: TestDatabaseServer, legacy_url: str, name: str
) -> None:
    legacy = REFUSED[name]
    spoil(legacy_url, legacy.done)
    database = sql.Identifier(legacy_url.rpartition("/")[2])
    with psycopg.connect(any_postgres.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'mod'").format(database))
    catalog, logged = rows(legacy_url, CATALOG), statements_logged(any_postgres)

    with pytest.raises(AdoptionRefusedError) as refused:
        upgrade_to_head(ENVIRONMENT, legacy_url)

    assert statements_logged(any_postgres) == logged
    assert rows(legacy_url, CATALOG) == catalog
    assert f"From the closest, {BASE}, it differs in: " in str(refused.value)
    assert legacy.shown in str(refused.value)
    assert legacy.repaired_by in str(refused.value)
    assert any(LOSES_DATA in statement for statement in refused.value.repair) == legacy.loses_data
    for statement in refused.value.repair:
        run(legacy_url, statement.removeprefix(LOSES_DATA))
    assert equals_base(legacy_url)
    assert rows(legacy_url, "SELECT message FROM system_logs") == [("kept",)]
    run(legacy_url, "CREATE TABLE is_logged ()")
    assert statements_logged(any_postgres) > logged or not hasattr(any_postgres, "folder")


def equals_base(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        found = adoption.read_fingerprint(connection, ENVIRONMENT)
    return adoption.differences(adoption.stored_fingerprints(ENVIRONMENT)[BASE], found) == []


TAKEN_OVER = {
    "rows in the future": "INSERT INTO system_logs (created_at, level, component, message) "
    "VALUES ('2199-01-01', 'INFO', 'c', 'm'), ('infinity', 'INFO', 'c', 'm')",
    "empty version table": "CREATE TABLE logs_alembic_version (version_num varchar(32) PRIMARY KEY)",
    "misplaced version table": "CREATE SCHEMA backup; CREATE TABLE backup.logs_alembic_version (version_num text); "
    f"INSERT INTO backup.logs_alembic_version VALUES ('{ENVIRONMENT.head}')",
    "half-finished conversion": f"{CONVERSION_BEGUN}; {VERSIONED}",
}


def test_the_exact_legacy_schema_is_taken_over_on_each_version(legacy_url: str) -> None:
    assert upgrade_to_head(ENVIRONMENT, legacy_url).adopted_at == BASE


@pytest.mark.parametrize("name", TAKEN_OVER)
def test_what_a_revision_makes_is_taken_over_and_keeps_its_rows(database_url: str, name: str) -> None:
    legacy_url = as_legacy(database_url)
    run(legacy_url, TAKEN_OVER[name])
    [(count,)] = rows(legacy_url, "SELECT count(*) FROM system_logs")

    result = upgrade_to_head(ENVIRONMENT, legacy_url)

    assert result.after.revision == ENVIRONMENT.head
    assert result.adopted_at == (None if name == "half-finished conversion" else BASE)
    kept = rows(legacy_url, "SELECT count(*) FROM system_logs")[0][0]
    misdated = rows(legacy_url, "SELECT count(*) FROM system_logs_misdated")[0][0] if "future" in name else 0
    assert (kept, misdated) == (1, count - 1)


def test_one_of_two_tables_already_converted_is_taken_over_at_that_revision(database_url: str) -> None:
    legacy_url = as_legacy(database_url)
    run(legacy_url, VERSIONED)
    command.upgrade(alembic_config(ENVIRONMENT, url=legacy_url), "11f34367fb12")
    run(legacy_url, "DROP TABLE logs_alembic_version; DROP SCHEMA migrator CASCADE")

    assert upgrade_to_head(ENVIRONMENT, legacy_url).adopted_at == "11f34367fb12"


def test_a_foreign_version_table_is_refused_though_it_is_empty(legacy_url: str) -> None:
    run(legacy_url, "CREATE TABLE alembic_version (version_num text)")
    catalog = rows(legacy_url, CATALOG)

    with pytest.raises(PermanentError, match=r"not the logs database: it carries .*alembic_version"):
        upgrade_to_head(ENVIRONMENT, legacy_url)

    assert rows(legacy_url, CATALOG) == catalog


@pytest.mark.parametrize(("floor", "is_refused"), [(BASE, False), ("ffffffffffff", True)])
def test_a_database_ahead_is_run_on_or_refused_by_its_floor(database_url: str, floor: str, is_refused: bool) -> None:
    upgrade_to_head(ENVIRONMENT, database_url)
    run(
        database_url,
        "UPDATE logs_alembic_version SET version_num = 'ffffffffffff'; "
        f"UPDATE migrator.compatibility_floor SET floor = '{floor}'",
    )

    if is_refused:
        with pytest.raises(PermanentError, match=r"needs code of revision ffffffffffff or later"):
            upgrade_to_head(ENVIRONMENT, database_url)
    else:
        assert not upgrade_to_head(ENVIRONMENT, database_url).changed


@pytest.fixture
def newcomer_url(any_postgres: TestDatabaseServer, legacy_url: str) -> Iterator[str]:
    """The URL of the legacy database for a role that may create in it, but does not own its tables."""
    name = f"newcomer_{secrets.token_hex(4)}"
    parts = urlsplit(legacy_url)
    role, database = sql.Identifier(name), sql.Identifier(parts.path[1:])
    with psycopg.connect(any_postgres.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'new'").format(role))
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, role))
        admin_url = any_postgres.superuser_url.rpartition("/")[0] + parts.path
        run(admin_url, f"GRANT CREATE ON SCHEMA public TO {name}")
        yield parts._replace(netloc=f"{name}:new@{parts.netloc.rpartition('@')[2]}").geturl()
        run(admin_url, f"DROP OWNED BY {name}")
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_tables_of_another_owner_are_refused_with_the_sql_that_hands_them_over(
    legacy_url: str, newcomer_url: str
) -> None:
    catalog = rows(legacy_url, CATALOG)

    with pytest.raises(AdoptionRefusedError) as refused:
        upgrade_to_head(ENVIRONMENT, newcomer_url)

    assert rows(legacy_url, CATALOG) == catalog
    assert "neither owns them nor is a member of their owners: public.llm_logs (" in str(refused.value)
    assert "ALTER TABLE public.system_logs OWNER TO " in refused.value.repair[1]
