"""op.attach_as_partition and op.merge_partitions on any table: what is kept, what is refused, what is scanned."""

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg import sql
from psycopg.rows import namedtuple_row
from sqlalchemy import NullPool, create_engine, text

from migrator import ops
from migrator.errors import PermanentError, TemporaryError
from migrator.ops import session
from migrator.ops.conversion import convert
from migrator.ops.conversion_steps import add_bound
from migrator.ops.indexes import IndexSpec
from migrator.ops.partition_plan import PartitionPlan
from migrator.ops.swap import swap
from migrator.partitioning import Relation
from migrator.urls import engine_url

TABLE = """
CREATE TABLE "Shop"."Orders" (
    "Id" uuid DEFAULT gen_random_uuid() CONSTRAINT "Orders_pkey" PRIMARY KEY,
    gone int,
    placed_at timestamptz NOT NULL DEFAULT now(),
    state varchar(10) DEFAULT 'open' CONSTRAINT known_state CHECK (state IN ('open', 'done')),
    doubled int GENERATED ALWAYS AS (1 + 1) STORED
);
ALTER TABLE "Shop"."Orders" DROP COLUMN gone;
CREATE INDEX "ix state" ON "Shop"."Orders" (state, placed_at DESC);
"""
ROW = 'INSERT INTO "Shop"."Orders" (placed_at) VALUES (%s)'
ORDERS = '\'"Shop"."Orders"\'::regclass'
LEGACY = '\'"Shop"."Orders old"\'::regclass'


@contextmanager
def revision(url: str):
    """A revision's transaction, with the operations that work in it."""
    engine = create_engine(engine_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with context.begin_transaction(_per_migration=True):
            yield Operations(context)


def attach(url: str) -> None:
    with revision(url) as op:
        op.attach_as_partition(
            "Orders",
            key="placed_at",
            primary_key=("placed_at", "Id"),
            primary_key_name="pk orders",
            legacy_partition="Orders old",
            legacy_primary_key_name="pk old orders",
            indexes=[ops.HandedIndex("ix state", ("state", text("placed_at DESC")), legacy_name="ix old state")],
            partition_name="{table} of {day:%Y-%m-%d}",
            days_ahead=4,
            schema="Shop",
        )


def merge(url: str) -> None:
    with revision(url) as op:
        op.merge_partitions(
            "Orders",
            primary_key=["Id"],
            primary_key_name="Orders_pkey",
            indexes=[("ix state", ["state", text("placed_at DESC")], None)],
            schema="Shop",
        )


def plan() -> PartitionPlan:
    table = Relation("Shop", "Orders")
    key = ("placed_at", "Id")
    return PartitionPlan(
        table=table,
        key="placed_at",
        primary_key=key,
        primary_key_name="pk orders",
        legacy=table.named("Orders old"),
        legacy_key=IndexSpec("pk old orders", key, unique=True),
        indexes=(),
        name_format="{table} {day:%Y_%m_%d}",
        days_ahead=4,
    )


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def fetch(url: str, statement: str):
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchone()


def looks(url: str, table: str):
    """Owner, grants, comments, statistics targets and storage parameters, as somebody who uses the table sees them."""
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        return connection.execute(f"""
            SELECT pg_get_userbyid(relowner) AS owner, relacl::text AS grants, obj_description({table}) AS comment,
                   (SELECT array_agg(attname || ':' || coalesce(attacl::text, '') || coalesce(attstattarget, -1) || ':'
                                     || coalesce(col_description(attrelid, attnum), '') ORDER BY attname)
                    FROM pg_attribute WHERE attrelid = {table} AND attnum > 0 AND NOT attisdropped) AS columns,
                   reloptions AS storage
            FROM pg_class WHERE oid = {table}""").fetchone()


def with_orders(url: str) -> str:
    execute(url, 'CREATE SCHEMA "Shop"', TABLE)
    with psycopg.connect(url) as connection:
        connection.cursor().executemany(ROW, [(datetime.now(UTC) - timedelta(hours=n),) for n in range(200)])
    return url


@pytest.fixture
def orders_url(database_url) -> str:
    return with_orders(database_url)


@pytest.fixture
def any_orders_url(any_database_url) -> str:
    """The same on each version of PostgreSQL in turn, for what depends on its catalog."""
    return with_orders(any_database_url)


@pytest.fixture
def reader_role(any_postgres):
    """A role that nobody else uses, on the server of `orders_url`."""
    name = f"reader_{secrets.token_hex(4)}"
    with psycopg.connect(any_postgres.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_names_that_need_quotes_dropped_and_generated_columns_are_no_trouble(any_orders_url):
    attach(any_orders_url)

    with psycopg.connect(any_orders_url) as connection:
        partitions = connection.execute(
            f"SELECT array_agg(relname::text) FROM pg_inherits, pg_class WHERE oid = inhrelid AND inhparent = {ORDERS}"
        ).fetchone()[0]
        connection.execute('INSERT INTO "Shop"."Orders" DEFAULT VALUES')
        rows = connection.execute('SELECT count(*), min(doubled), max(state) FROM "Shop"."Orders"').fetchone()
    assert {"Orders old", f"Orders of {datetime.now(UTC).date() + timedelta(days=4)}"} <= set(partitions)
    assert rows == (201, 2, "open")


def test_owner_grants_comments_statistics_and_storage_are_kept(reader_role, any_orders_url):
    execute(
        any_orders_url,
        'ALTER DEFAULT PRIVILEGES IN SCHEMA "Shop" GRANT SELECT ON TABLES TO PUBLIC',
        f'GRANT SELECT, INSERT ON "Shop"."Orders" TO {reader_role} WITH GRANT OPTION',
        f'GRANT UPDATE (state) ON "Shop"."Orders" TO {reader_role}',
        'COMMENT ON TABLE "Shop"."Orders" IS \'What was ordered\'',
        'COMMENT ON COLUMN "Shop"."Orders".state IS \'One of two\'',
        'COMMENT ON INDEX "Shop"."ix state" IS \'For the list\'',
        'ALTER TABLE "Shop"."Orders" SET (fillfactor = 90, toast.autovacuum_enabled = false)',
        'ALTER TABLE "Shop"."Orders" ALTER COLUMN state SET STATISTICS 777',
    )
    before = looks(any_orders_url, ORDERS)

    attach(any_orders_url)

    after = looks(any_orders_url, ORDERS)
    newest = f'\'"Shop"."Orders of {datetime.now(UTC).date() + timedelta(days=4)}"\'::regclass'
    assert after == before._replace(storage=None)
    assert before.storage == ["fillfactor=90"]
    assert looks(any_orders_url, LEGACY).storage == looks(any_orders_url, newest).storage == before.storage
    assert fetch(any_orders_url, 'SELECT obj_description(\'"Shop"."ix state"\'::regclass)') == ("For the list",)
    merge(any_orders_url)
    assert looks(any_orders_url, ORDERS) == before


def test_the_default_privileges_of_new_tables_do_not_open_an_existing_one(any_orders_url):
    execute(any_orders_url, 'ALTER DEFAULT PRIVILEGES IN SCHEMA "Shop" GRANT SELECT ON TABLES TO PUBLIC')

    attach(any_orders_url)

    assert fetch(any_orders_url, f"SELECT relacl::text ~ '[{{,]=r/' FROM pg_class WHERE oid = {ORDERS}")[0] is not True


@pytest.mark.parametrize(
    ("ddl", "named"),
    [
        ('CREATE VIEW v AS SELECT state FROM "Shop"."Orders"', "view v"),
        ('CREATE MATERIALIZED VIEW m AS SELECT state FROM "Shop"."Orders"', "materialized view m"),
        ('CREATE TABLE notes (o uuid CONSTRAINT f REFERENCES "Shop"."Orders")', "constraint f on table notes"),
        (
            'CREATE TABLE c (id int PRIMARY KEY); ALTER TABLE "Shop"."Orders" ADD c int CONSTRAINT f REFERENCES c',
            "constraint f on table",
        ),
        ('CREATE RULE r AS ON DELETE TO "Shop"."Orders" DO INSTEAD NOTHING', "rule r on table"),
        (
            (
                "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
                'CREATE TRIGGER audit BEFORE INSERT ON "Shop"."Orders" EXECUTE FUNCTION t()'
            ),
            "trigger audit on table",
        ),
        ('CREATE POLICY mine ON "Shop"."Orders" USING (true)', "policy mine on table"),
        ('ALTER TABLE "Shop"."Orders" ENABLE ROW LEVEL SECURITY', "row level security"),
        ('CREATE PUBLICATION p FOR TABLE "Shop"."Orders"', "publication p"),
        (
            'CREATE FUNCTION f("Shop"."Orders"[]) RETURNS int LANGUAGE sql AS $$SELECT 1$$',
            'function f("Shop"."Orders"[])',
        ),
        ('CREATE TABLE child () INHERITS ("Shop"."Orders")', "table child"),
        ('ALTER TABLE "Shop"."Orders" ADD n serial', "sequence"),
        ('ALTER TABLE "Shop"."Orders" ADD n int GENERATED ALWAYS AS IDENTITY', "sequence"),
        ('ALTER TABLE "Shop"."Orders" ADD n int CONSTRAINT once UNIQUE', "constraint once on table"),
        ('CREATE UNIQUE INDEX once ON "Shop"."Orders" (("Id"::text))', "unique index"),
        ('ALTER TABLE "Shop"."Orders" SET UNLOGGED', "being unlogged"),
    ],
)
def test_what_could_not_follow_the_name_is_refused_by_name_and_nothing_is_touched(orders_url, ddl, named):
    execute(orders_url, ddl)
    count = "SELECT count(*) FROM pg_class"
    before = fetch(orders_url, count)

    with pytest.raises(PermanentError) as caught:
        attach(orders_url)

    assert named in str(caught.value)
    assert fetch(orders_url, count) == before


def test_what_is_refused_half_way_is_left_without_a_bound_that_would_refuse_rows_in_two_days(orders_url):
    with psycopg.connect(orders_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        add_bound(connection, plan())
    execute(orders_url, 'CREATE VIEW v AS SELECT state FROM "Shop"."Orders"')

    with pytest.raises(PermanentError, match="view v"):
        attach(orders_url)

    assert fetch(orders_url, "SELECT count(*) FROM pg_constraint WHERE conname ~ 'bound'") == (0,)


@pytest.mark.parametrize(
    ("ddl", "complaint"),
    [
        ('ALTER TABLE "Shop"."Orders" ALTER placed_at DROP NOT NULL', "placed_at must be there and NOT NULL"),
        ('ALTER TABLE "Shop"."Orders" ALTER placed_at TYPE timestamp', "must be a timestamp with time zone"),
        ('ALTER TABLE "Shop"."Orders" DROP COLUMN "Id"', "Id must be there"),
        ('CREATE TABLE "Shop"."Orders old" ()', "there is a Shop.Orders old already"),
        ('CREATE TABLE "Shop"."Orders_misdated" ()', "there is a Shop.Orders_misdated already"),
        ('DROP INDEX "Shop"."ix state"; CREATE INDEX "ix state" ON "Shop"."Orders" (state)', "is wanted"),
        ('ALTER TABLE "Shop"."Orders" RENAME TO other', "no table Shop.Orders"),
        (
            'DROP TABLE "Shop"."Orders"; CREATE TABLE "Shop"."Orders" (placed_at date) PARTITION BY LIST (placed_at)',
            "partitioned, but not by ranges of placed_at",
        ),
    ],
)
def test_a_table_that_is_not_fit_is_refused_in_one_sentence(orders_url, ddl, complaint):
    execute(orders_url, ddl)

    with pytest.raises(PermanentError, match=complaint):
        attach(orders_url)


def test_an_index_that_is_missing_is_built_before_the_swap(orders_url):
    execute(orders_url, 'DROP INDEX "Shop"."ix state"')

    attach(orders_url)

    assert fetch(
        orders_url,
        'SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = \'"Shop"."ix old state"\'::regclass',
    ) == ('"Shop"."ix state"',)


def test_attaching_scans_nothing(any_orders_url):
    notices: list[str] = []
    with psycopg.connect(any_orders_url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("SET TimeZone = 'UTC'; SET client_min_messages = debug1")
        convert(connection, plan())

    assert 'partition constraint for table "Orders old" is implied by existing constraints' in notices


def test_a_second_run_finds_nothing_to_do(orders_url):
    attach(orders_url)
    before = fetch(orders_url, "SELECT pg_current_xact_id_if_assigned(), count(*), sum(oid::bigint) FROM pg_class")

    attach(orders_url)

    assert fetch(orders_url, "SELECT NULL, count(*), sum(oid::bigint) FROM pg_class") == before


def test_a_swap_for_a_bound_that_has_changed_meanwhile_is_not_made(orders_url):
    with psycopg.connect(orders_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")

        assert swap(connection, plan(), datetime(2026, 1, 1, tzinfo=UTC)) is False

        assert fetch(orders_url, f"SELECT relkind::text FROM pg_class WHERE oid = {ORDERS}") == ("r",)
        assert fetch(orders_url, 'SELECT to_regclass(\'"Shop"."Orders_partitioned"\')') == (None,)


def test_a_table_that_never_comes_free_is_given_up_with_the_holder_named(orders_url, monkeypatch):
    monkeypatch.setattr(session, "EXCLUSIVE_BUDGET_SECONDS", 0.5)
    monkeypatch.setattr(session, "_SETTINGS", {**session._SETTINGS, "lock_timeout": "500ms"})
    with psycopg.connect(orders_url, application_name="long report") as reader:
        reader.execute('SELECT count(*) FROM "Shop"."Orders"')

        with pytest.raises(TemporaryError, match=rf"{reader.info.backend_pid} \(long report\)"):
            attach(orders_url)

    attach(orders_url)
    assert fetch(orders_url, 'SELECT count(*) FROM "Shop"."Orders"') == (200,)


def test_rows_that_share_an_id_are_not_put_into_one_table(orders_url):
    attach(orders_url)
    execute(
        orders_url,
        'INSERT INTO "Shop"."Orders" ("Id", placed_at) SELECT "Id", now() FROM "Shop"."Orders" LIMIT 1',
    )

    with pytest.raises(PermanentError, match="rows of different times have the same"):
        merge(orders_url)

    assert fetch(orders_url, f"SELECT relkind::text FROM pg_class WHERE oid = {ORDERS}") == ("p",)


def test_a_view_on_the_partitioned_table_keeps_it_from_being_merged(orders_url):
    attach(orders_url)
    execute(orders_url, 'CREATE VIEW v AS SELECT state FROM "Shop"."Orders"')

    with pytest.raises(PermanentError, match="view v"):
        merge(orders_url)
