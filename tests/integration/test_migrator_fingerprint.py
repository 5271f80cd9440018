"""The catalog fingerprint: every drift is seen, and PostgreSQL 15 to 18 give the same one."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from migrator.environment import Environment
from migrator.errors import EnvironmentFilesError, PermanentError
from migrator.fingerprint import differences, read_fingerprint, rendered, stored_fingerprint, stored_fingerprints
from migrator.fingerprint_files import computed_fingerprints, write_fingerprints
from servers.postgres import SUPERUSER, all_binaries
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.servers import ServerRack
from tests.fixtures.small_environment import small_environment

SCHEMA = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN percentage AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE SEQUENCE numbers INCREMENT 5;
CREATE TABLE parents (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    parent_id int REFERENCES parents (id) ON DELETE CASCADE,
    label varchar(40) NOT NULL DEFAULT 'none',
    note text COLLATE "C",
    amount numeric(10, 2) CHECK (amount > 0),
    half numeric GENERATED ALWAYS AS (amount / 2) STORED,
    feeling mood NOT NULL DEFAULT 'good',
    share percentage,
    created_at timestamptz NOT NULL DEFAULT now(),
    extra jsonb,
    CONSTRAINT items_label_note UNIQUE (label, note)
) WITH (fillfactor = 90);
COMMENT ON TABLE items IS 'Things';
COMMENT ON COLUMN items.amount IS 'Euro';
CREATE INDEX items_created ON items (created_at DESC, label) INCLUDE (amount) WHERE amount > 10;
CREATE INDEX items_lower ON items (lower(label) text_pattern_ops) WITH (fillfactor = 80);
CREATE INDEX items_extra ON items USING gin (extra jsonb_path_ops);
CREATE TABLE days (day date NOT NULL, id int NOT NULL, more text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE INDEX days_more ON days (more);
CREATE TABLE days_old PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW good_items AS SELECT created_at, share FROM items WHERE share > 50;
CREATE STATISTICS items_depend (dependencies) ON label, note FROM items;
"""
# Each of them, done behind the back of the migrations, and the object whose difference says so.
DRIFTS = [
    ("ALTER TABLE items ADD COLUMN surprise int", "column public.items.surprise"),
    ("ALTER TABLE items DROP COLUMN extra", "column public.items.extra"),
    ("ALTER TABLE items RENAME COLUMN extra TO other", "column public.items.other"),
    ("ALTER TABLE items ALTER label TYPE varchar(50)", "column public.items.label: type"),
    ("ALTER TABLE items ALTER parent_id TYPE bigint USING parent_id", "column public.items.parent_id: type"),
    ("ALTER TABLE items ALTER label DROP NOT NULL", "column public.items.label: not null"),
    ("ALTER TABLE items ALTER label SET DEFAULT 'some'", "column public.items.label: default"),
    ("ALTER TABLE items ALTER created_at DROP DEFAULT", "column public.items.created_at: default"),
    ("ALTER TABLE parents ALTER id DROP IDENTITY", "column public.parents.id: identity"),
    ("ALTER TABLE items ALTER half DROP EXPRESSION", "column public.items.half: generated"),
    ('ALTER TABLE items ALTER note TYPE text COLLATE "POSIX"', "column public.items.note: collation"),
    ("ALTER TABLE items ALTER note SET STORAGE EXTERNAL", "column public.items.note: storage"),
    ("ALTER TABLE items ALTER note SET STATISTICS 500", "column public.items.note: statistics target"),
    ("COMMENT ON COLUMN items.amount IS 'Dollar'", "column public.items.amount: comment"),
    ("COMMENT ON TABLE items IS NULL", "table public.items: comment"),
    ("ALTER TABLE items SET UNLOGGED", "table public.items: persistence"),
    ("ALTER TABLE items RESET (fillfactor)", "table public.items: options"),
    ("ALTER TABLE items ENABLE ROW LEVEL SECURITY", "table public.items: row security"),
    ("ALTER TABLE items REPLICA IDENTITY FULL", "table public.items: replica identity"),
    ("CREATE POLICY mine ON items USING (true)", "policy public.items.mine"),
    ("CREATE RULE kept AS ON DELETE TO items DO INSTEAD NOTHING", "rule public.items.kept"),
    ("DROP TRIGGER touched ON items", "trigger public.items.touched"),
    ("ALTER TABLE items DISABLE TRIGGER touched", "trigger public.items.touched: enabled"),
    ("CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$", "function"),
    ("DROP STATISTICS items_depend", "statistics public.items_depend"),
    ("DROP INDEX items_lower", "index public.items.items_lower"),
    ("CREATE INDEX surprise ON items (note)", "index public.items.surprise"),
    (
        (
            "DROP INDEX items_created; CREATE INDEX items_created ON items (created_at, label) INCLUDE (amount) "
            "WHERE amount > 10"
        ),
        "index public.items.items_created: definition",
    ),
    (
        (
            "DROP INDEX items_created; CREATE INDEX items_created ON items (created_at DESC, label) INCLUDE (amount) "
            "WHERE amount > 11"
        ),
        "index public.items.items_created: definition",
    ),
    (
        "DROP INDEX items_created; CREATE INDEX items_created ON items (created_at DESC, label) WHERE amount > 10",
        "index public.items.items_created: definition",
    ),
    (
        "DROP INDEX items_lower; CREATE INDEX items_lower ON items (lower(label)) WITH (fillfactor = 80)",
        "index public.items.items_lower: definition",
    ),
    ("ALTER INDEX items_lower RESET (fillfactor)", "index public.items.items_lower: definition"),
    (
        "DROP INDEX items_extra; CREATE INDEX items_extra ON items USING gin (extra)",
        "index public.items.items_extra: definition",
    ),
    ("ALTER TABLE items DROP CONSTRAINT items_label_note", "constraint public.items.items_label_note"),
    ("ALTER TABLE items DROP CONSTRAINT items_amount_check", "constraint public.items.items_amount_check"),
    (
        (
            "ALTER TABLE items DROP CONSTRAINT items_amount_check, "
            "ADD CONSTRAINT items_amount_check CHECK (amount > 0) NOT VALID"
        ),
        "constraint public.items.items_amount_check: definition",
    ),
    (
        (
            "ALTER TABLE items DROP CONSTRAINT items_parent_id_fkey, "
            "ADD CONSTRAINT items_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES parents (id)"
        ),
        "constraint public.items.items_parent_id_fkey: definition",
    ),
    ("ALTER TABLE items DROP CONSTRAINT items_pkey", "constraint public.items.items_pkey"),
    ("ALTER TABLE days DROP CONSTRAINT days_pkey", "constraint public.days.days_pkey"),
    ("ALTER TYPE mood ADD VALUE 'mixed'", "type public.mood: labels"),
    ("ALTER DOMAIN percentage DROP CONSTRAINT percentage_check", "type public.percentage: checks"),
    ("ALTER SEQUENCE numbers INCREMENT 1", "sequence public.numbers: increment"),
    ("DROP VIEW good_items", "table public.good_items"),
    (
        "CREATE OR REPLACE VIEW good_items AS SELECT created_at, share FROM items WHERE share > 51",
        "table public.good_items: definition",
    ),
    ("CREATE TABLE surprise (id int)", "unexpected: table public.surprise"),
    ("CREATE TABLE days_default PARTITION OF days DEFAULT", "table public.days: default partition"),
    ("DROP TABLE days; CREATE TABLE days (day date NOT NULL, id int NOT NULL, more text)", "table public.days: is"),
    ("ALTER TABLE days DETACH PARTITION days_old", "unexpected: table public.days_old"),
    ("DROP INDEX days_more; CREATE INDEX days_more ON ONLY days (more)", "index public.days.days_more: invalid"),
    ("ALTER TABLE days_old SET UNLOGGED", "table public.days: unlogged partitions"),
    ("CREATE SCHEMA other; CREATE TABLE other.items (id int)", "unexpected: table other.items"),
]
# What happens in the life of a database and is no drift.
LIFE = [
    "CREATE TABLE days_new PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    "DROP TABLE days_old",
    (
        "CREATE TABLE loose (LIKE days INCLUDING ALL); "
        "ALTER TABLE days ATTACH PARTITION loose FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')"
    ),
    "INSERT INTO parents (name) VALUES ('a'); ANALYZE parents; SELECT nextval('numbers')",
    "GRANT SELECT ON items TO PUBLIC",
    "CREATE SCHEMA migrator; CREATE TABLE migrator.history (id int)",
    "CREATE TABLE small_version (version_num text)",
    "CREATE TEMPORARY TABLE scratch (id int)",
]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return small_environment(tmp_path).environment


def test_every_drift_is_seen_and_named_and_what_is_no_drift_is_not(
    environment: Environment, any_database_url: str
) -> None:
    with psycopg.connect(any_database_url) as connection:
        connection.execute(SCHEMA)
        expected = read_fingerprint(connection, environment)
        unseen, noise = {}, {}
        for statement, name in DRIFTS:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
                found = differences(expected, read_fingerprint(connection, environment))
            if not any(name in line for line in found):
                unseen[statement] = found
        for statement in LIFE:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
                found = differences(expected, read_fingerprint(connection, environment))
            if found:
                noise[statement] = found

    assert unseen == {}
    assert noise == {}


def test_an_index_left_invalid_by_a_broken_build_is_seen(environment: Environment, any_database_url: str) -> None:
    with psycopg.connect(any_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE twins (id int); INSERT INTO twins VALUES (1), (1)")
        connection.execute("CREATE UNIQUE INDEX twins_once ON twins (id) WHERE id > 1")
        expected = read_fingerprint(connection, environment)
        connection.execute("DROP INDEX twins_once; UPDATE twins SET id = 2")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twins_once ON twins (id) WHERE id > 1")

        assert differences(expected, read_fingerprint(connection, environment)) == [
            "different: index public.twins.twins_once: invalid is true, expected not set"
        ]


def test_all_versions_give_the_same_fingerprint(
    environment: Environment, new_database: Callable[..., str], server_rack: ServerRack
) -> None:
    texts = {}
    for major in {binaries.major for binaries in all_binaries()}:
        server = server_rack.postgres(f"postgres {major}")
        with psycopg.connect(new_database(server)) as connection:
            connection.execute(SCHEMA)
            texts[major] = rendered(read_fingerprint(connection, environment))

    assert len(set(texts.values())) == 1, differences(*(json.loads(text) for text in texts.values()))


def test_a_not_null_that_is_not_valid_counts_as_none(
    environment: Environment, any_postgres: TestDatabaseServer, any_database_url: str
) -> None:
    with psycopg.connect(any_database_url) as connection:
        connection.execute("CREATE TABLE items (id int)")
        nullable = read_fingerprint(connection, environment)
        if any_postgres.major >= 18:
            connection.execute("ALTER TABLE items ADD CONSTRAINT later NOT NULL id NOT VALID")

        assert read_fingerprint(connection, environment) == nullable


def test_what_postgresql_itself_keeps_among_a_columns_options_is_no_difference(
    environment: Environment, postgres: TestDatabaseServer, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE counted (id int); ALTER TABLE counted ALTER id SET (n_distinct = 5)")
        before = read_fingerprint(connection, environment)
        with psycopg.connect(postgres.url(connection.info.dbname, role=SUPERUSER)) as superuser:
            superuser.execute("UPDATE pg_attribute SET attoptions = attoptions || '{pg_attver=7}' WHERE attname = 'id'")

        assert before["column public.counted.id"]["options"] == ["n_distinct=5"]
        assert read_fingerprint(connection, environment) == before


def test_of_a_missing_table_its_columns_and_indexes_are_not_listed(environment: Environment, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE items_more (id int)")
        expected = read_fingerprint(connection, environment)
        connection.execute("DROP TABLE items")

        assert differences(expected, read_fingerprint(connection, environment)) == ["missing: table public.items"]


def test_two_hundred_tables_take_some_milliseconds(environment: Environment, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for number in range(200):
            connection.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, a text, b text, c int REFERENCES t0 (id))")
        fingerprint = read_fingerprint(connection, environment)

    assert len([name for name in fingerprint if name.startswith("table ")]) == 200


def test_stored_fingerprints_are_written_once_and_removed_with_their_revision(
    tmp_path: Path, new_database: Callable[..., str]
) -> None:
    small = small_environment(tmp_path).add("r1", "op.execute('CREATE TABLE a (id int)')")
    small.add("r2").add("r3", "op.execute('CREATE TABLE b (id int)')")

    written = write_fingerprints(small.environment, new_database())
    assert [path.name for path in written] == ["r1.json", "r2.json", "r3.json"]
    assert write_fingerprints(small.environment, new_database()) == []
    assert stored_fingerprints(small.environment) == computed_fingerprints(small.environment, new_database())
    assert stored_fingerprint(small.environment, "r1") == stored_fingerprint(small.environment, "r2")

    small.without("r3", head="r2")
    assert [path.name for path in write_fingerprints(small.environment, new_database())] == ["r3.json"]
    assert sorted(stored_fingerprints(small.environment)) == ["r1", "r2"]
    with pytest.raises(EnvironmentFilesError, match="fingerprint of revision r3 cannot be read"):
        stored_fingerprint(small.environment, "r3")


def test_fingerprints_are_made_in_an_empty_database_only(tmp_path: Path, database_url: str) -> None:
    small = small_environment(tmp_path).add("r1")
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE something (id int)")

    with pytest.raises(PermanentError, match="made in an empty database, but this one is tables without a revision"):
        write_fingerprints(small.environment, database_url)
