"""op.attach_as_partition and op.merge_partitions on any table: what is kept, what is refused, what is scanned."""

import secrets
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from migrator.errors import PermanentError, TemporaryError
from migrator.ops import session
from migrator.ops.conversion import convert
from migrator.ops.swap import replace_empty, swap
from tests.fixtures.orders import LEGACY, ORDERS, attach, execute, fetch, merge, plan, with_orders


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


def test_an_index_that_is_missing_is_built_before_the_swap(orders_url):
    execute(orders_url, 'DROP INDEX "Shop"."ix state"')

    attach(orders_url)

    assert fetch(
        orders_url,
        'SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = \'"Shop"."ix old state"\'::regclass',
    ) == ('"Shop"."ix state"',)


def test_an_empty_table_that_is_large_is_not_looked_through_under_a_lock_but_attached(orders_url, monkeypatch):
    monkeypatch.setattr("migrator.ops.conversion_state.QUICKLY_READ_BYTES", 8192)
    execute(orders_url, 'DELETE FROM "Shop"."Orders"')

    attach(orders_url)

    assert fetch(orders_url, f"SELECT relkind::text FROM pg_class WHERE oid = {ORDERS}") == ("p",)
    assert fetch(orders_url, f"SELECT relispartition FROM pg_class WHERE oid = {LEGACY}") == (True,)


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


def test_a_table_that_got_its_first_row_meanwhile_is_not_replaced(orders_url):
    with psycopg.connect(orders_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")

        assert replace_empty(connection, plan()) is False

    assert fetch(orders_url, 'SELECT count(*) FROM "Shop"."Orders"') == (200,)
    assert fetch(orders_url, f"SELECT relkind::text FROM pg_class WHERE oid = {ORDERS}") == ("r",)


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
