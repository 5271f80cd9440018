"""op.drop_index_concurrently: gone in the end, whatever was left of it, and nobody waits for long."""

import logging
import threading

import psycopg
import pytest

from migrator.errors import PermanentError, TemporaryError
from migrator.ops.index_tree import child_name
from tests.fixtures.logs import wait_until
from tests.fixtures.orders import execute, fetch, revision

TABLES = """
CREATE TABLE orders (id int CONSTRAINT orders_pkey PRIMARY KEY, state text);
CREATE INDEX ix_orders_state ON orders (state);
CREATE TABLE sales (day date NOT NULL, amount int) PARTITION BY RANGE (day);
CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE sales_2 PARTITION OF sales FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
INSERT INTO sales SELECT date '2026-01-01' + n % 2, n FROM generate_series(1, 100) n;
"""
SALE = "INSERT INTO sales VALUES ('2026-01-01', 0)"
INDEXES = """
SELECT array_agg(indexname::text ORDER BY indexname) FROM pg_indexes
WHERE schemaname = 'public' AND indexname <> 'orders_pkey'
"""


def drop(url: str, name: str, table: str) -> None:
    with revision(url) as op:
        op.drop_index_concurrently(name, table)


@pytest.fixture
def tables_url(any_database_url) -> str:
    execute(any_database_url, TABLES)
    return any_database_url


def test_an_index_is_dropped_and_one_that_is_gone_is_no_fault(tables_url, caplog):
    caplog.set_level(logging.INFO)
    drop(tables_url, "ix_orders_state", "orders")
    drop(tables_url, "ix_orders_state", "orders")

    assert fetch(tables_url, INDEXES) == (None,)
    dropped = [record.index for record in caplog.records if getattr(record, "event", "") == "index_dropped"]
    assert dropped == ["ix_orders_state"]


def test_what_an_interrupted_drop_left_is_dropped(tables_url):
    with psycopg.connect(tables_url) as writer, psycopg.connect(tables_url, autocommit=True) as other:
        writer.execute("INSERT INTO orders VALUES (1, 'open')")
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("DROP INDEX CONCURRENTLY ix_orders_state")
    assert fetch(tables_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_orders_state'::regclass") == (
        False,
    )

    drop(tables_url, "ix_orders_state", "orders")

    assert fetch(tables_url, INDEXES) == (None,)


def test_the_index_of_a_partitioned_table_goes_with_all_its_parts(tables_url):
    execute(tables_url, "DROP INDEX ix_orders_state; CREATE INDEX ix_sales_amount ON sales (amount)")

    drop(tables_url, "ix_sales_amount", "sales")
    drop(tables_url, "ix_sales_amount", "sales")

    assert fetch(tables_url, INDEXES) == (None,)


def test_what_a_broken_build_left_on_partitions_goes_too_and_nothing_else(tables_url):
    left, own = child_name("sales_2", "ix_sales_amount"), "sales_2_amount"
    execute(tables_url, "CREATE INDEX ix_sales_amount ON ONLY sales (amount)")
    execute(tables_url, f"CREATE INDEX {left} ON sales_2 (amount); CREATE INDEX {own} ON sales_2 (amount)")

    drop(tables_url, "ix_sales_amount", "sales")

    assert fetch(tables_url, INDEXES) == (["ix_orders_state", own],)


def test_clients_go_on_while_one_of_them_holds_the_partitioned_table(tables_url):
    execute(tables_url, "CREATE INDEX ix_sales_amount ON sales (amount)")
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'sales'::regclass AND NOT granted"
    with psycopg.connect(tables_url) as reader, psycopg.connect(tables_url, autocommit=True) as other:
        reader.execute("SELECT count(*) FROM sales")
        dropping = threading.Thread(target=drop, args=[tables_url, "ix_sales_amount", "sales"])
        dropping.start()
        wait_until(lambda: fetch(tables_url, waiting) == (True,))
        other.execute("SET lock_timeout = '5s'")
        for _ in range(20):
            other.execute(SALE)
        assert dropping.is_alive()
        reader.commit()
        dropping.join()

    assert fetch(tables_url, INDEXES) == (["ix_orders_state"],)


def test_who_holds_a_partition_for_too_long_is_named_and_the_index_stays(tables_url, monkeypatch):
    monkeypatch.setattr("migrator.ops.session.EXCLUSIVE_BUDGET_SECONDS", 0.05)
    execute(tables_url, "CREATE INDEX ix_sales_amount ON sales (amount)")
    with psycopg.connect(tables_url, application_name="long report") as reader:
        reader.execute("SELECT count(*) FROM sales_2")
        with pytest.raises(TemporaryError, match=r"public\.sales could not be locked.*long report"):
            drop(tables_url, "ix_sales_amount", "sales")

    assert "ix_sales_amount" in fetch(tables_url, INDEXES)[0]


@pytest.mark.parametrize(
    ("name", "table", "complaint"),
    [
        ("orders_pkey", "orders", "constraint orders_pkey on table orders requires it"),
        ("sales_1_amount_idx", "sales_1", "index ix_sales_amount requires it"),
        ("ix_orders_state", "sales", "taken by another index"),
        ("ix_nothing", "nothing", r"public\.nothing is not there"),
    ],
)
def test_what_cannot_be_dropped_is_refused_in_one_sentence(tables_url, name, table, complaint):
    execute(tables_url, "CREATE INDEX ix_sales_amount ON sales (amount)")
    before = fetch(tables_url, INDEXES)

    with pytest.raises(PermanentError, match=complaint):
        drop(tables_url, name, table)

    assert fetch(tables_url, INDEXES) == before
