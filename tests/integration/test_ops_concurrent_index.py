"""op.create_index_concurrently: idempotent by the catalog, patient, and clear about what it cannot do."""

import io
import logging
import threading

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text

from migrator.errors import PermanentError
from tests.fixtures.logs import wait_until
from tests.fixtures.orders import fetch, revision

TABLE = "CREATE TABLE orders (id int PRIMARY KEY, placed_at timestamptz NOT NULL, state text)"
INDEXES = "SELECT indexdef, indisvalid FROM pg_indexes JOIN pg_index ON indexrelid = indexname::regclass WHERE {}"
DROPPING = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^DROP INDEX' AND datname = current_database()"
OID = "SELECT to_regclass('ix_orders_state_placed_at')::oid"


def build(url: str, name: str = "ix_orders_state_placed_at", **options) -> None:
    with revision(url) as op:
        op.create_index_concurrently(name, "orders", ["state", text("placed_at DESC")], **options)


def index(url: str, name: str = "ix_orders_state_placed_at"):
    with psycopg.connect(url) as connection:
        return connection.execute(INDEXES.format("indexname = %s"), [name]).fetchone()


def events(caplog) -> list[str]:
    return [record.event for record in caplog.records if record.name.startswith("migrator.ops")]


@pytest.fixture
def orders_url(database_url) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(TABLE)
        connection.execute("INSERT INTO orders SELECT n, now(), 'open' FROM generate_series(1, 100) n")
    return database_url


def test_it_builds_the_index_and_builds_it_once(orders_url, caplog):
    with caplog.at_level(logging.INFO):
        build(orders_url, where="state IS NOT NULL")
        build(orders_url, where="state IS NOT NULL")

    definition, is_valid = index(orders_url)
    assert definition.endswith("(state, placed_at DESC) WHERE (state IS NOT NULL)")
    assert is_valid
    assert events(caplog) == ["index_built"]


def test_what_an_interrupted_build_left_is_dropped_and_built_anew(orders_url):
    with psycopg.connect(orders_url) as connection:
        connection.execute("INSERT INTO orders VALUES (101, now(), 'open')")
        with psycopg.connect(orders_url, autocommit=True) as other:
            other.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("CREATE INDEX CONCURRENTLY ix_orders_state_placed_at ON orders (state, placed_at DESC)")
    assert index(orders_url)[1] is False

    build(orders_url)

    assert index(orders_url)[1] is True


def test_a_build_that_another_session_is_at_is_waited_for_and_kept(orders_url, caplog):
    caplog.set_level(logging.INFO)
    with psycopg.connect(orders_url) as writer:
        writer.execute("INSERT INTO orders VALUES (101, now(), 'open')")
        with psycopg.connect(orders_url, autocommit=True) as other:
            statement = "CREATE INDEX CONCURRENTLY ix_orders_state_placed_at ON orders (state, placed_at DESC)"
            orphan = threading.Thread(target=other.execute, args=[statement])
            orphan.start()
            wait_until(lambda: index(orders_url))
            oid = fetch(orders_url, OID)
            second = threading.Thread(target=build, args=[orders_url])
            second.start()
            wait_until(lambda: "table_awaited" in events(caplog) or fetch(orders_url, DROPPING) == (1,))
            writer.commit()
            orphan.join()
            second.join()

    assert index(orders_url)[1] is True
    assert fetch(orders_url, OID) == oid


def test_another_index_of_that_name_is_refused_and_kept(orders_url):
    with psycopg.connect(orders_url) as connection:
        connection.execute("CREATE INDEX ix_orders_state_placed_at ON orders (state)")

    with pytest.raises(PermanentError, match=r"'btree \(state\)', but 'btree \(state, placed_at DESC\)'"):
        build(orders_url)

    assert index(orders_url)[0].endswith("(state)")


def test_a_name_that_something_else_has_is_refused(orders_url):
    with psycopg.connect(orders_url) as connection:
        connection.execute("CREATE TABLE ix_orders_state_placed_at ()")

    with pytest.raises(PermanentError, match="taken by another relation"):
        build(orders_url)


def test_duplicates_under_a_unique_index_are_named_and_the_rows_stay(orders_url):
    with pytest.raises(PermanentError, match="rows with the same key"), revision(orders_url) as op:
        op.create_index_concurrently("uq_orders_state", "orders", ["state"], unique=True)

    with psycopg.connect(orders_url) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (100,)


@pytest.mark.parametrize(
    ("ddl", "complaint"),
    [
        ("DROP TABLE orders", "not there"),
        ("DROP TABLE orders; CREATE VIEW orders AS SELECT 'open' AS state, now() AS placed_at", "no table"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(orders_url, ddl, complaint):
    with psycopg.connect(orders_url) as connection:
        connection.execute(ddl)

    with pytest.raises(PermanentError, match=complaint):
        build(orders_url)


def test_an_old_transaction_that_will_be_waited_for_is_warned_of(orders_url, monkeypatch, caplog):
    monkeypatch.setattr(
        "migrator.ops.indexes._OLD_TRANSACTIONS",
        "SELECT pid, application_name, state, 11 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL "
        "AND pid <> pg_backend_pid() AND datname = current_database()",
    )
    with psycopg.connect(orders_url, application_name="report") as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        building = threading.Thread(target=build, args=[orders_url])
        building.start()
        wait_until(lambda: "index_build_delayed" in events(caplog))
        assert building.is_alive()
        reader.commit()
        building.join()

    assert [record.session for record in caplog.records if record.event == "index_build_delayed"] == ["report"]
    assert index(orders_url)[1] is True


def test_the_settings_of_the_session_are_put_back(orders_url):
    with revision(orders_url) as op:
        op.execute("SET lock_timeout = '1234ms'")
        op.create_index_concurrently("ix_orders_state", "orders", ["state"])

        assert op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar() == "1234ms"


def test_offline_it_is_the_plain_statement_outside_a_transaction():
    output = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": output, "transaction_per_migration": True}
    )
    with context.begin_transaction(_per_migration=True):
        Operations(context).create_index_concurrently("ix", "orders", ["state"], schema="shop", where="id % 2 = 0")

    lines = [line for line in output.getvalue().splitlines() if line]
    assert lines == [
        "BEGIN;",
        "COMMIT;",
        'CREATE INDEX CONCURRENTLY "ix" ON "shop"."orders" ("state") WHERE id % 2 = 0;',
        "BEGIN;",
        "COMMIT;",
    ]
