"""What the index operations write with --sql: run by hand, it has the same result."""

import io

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text

from tests.fixtures.orders import execute, fetch

TABLES = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Orders" (id int, state text);
CREATE TABLE "Shop"."Sales" (day date NOT NULL, amount int) PARTITION BY RANGE (day);
CREATE TABLE "Shop"."Sales 1" PARTITION OF "Shop"."Sales" FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE "Shop"."Sales 2" PARTITION OF "Shop"."Sales" FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')
    PARTITION BY RANGE (amount);
CREATE TABLE "Shop"."few" PARTITION OF "Shop"."Sales 2" FOR VALUES FROM (0) TO (100);
"""
INDEXES = """
SELECT count(*), count(*) FILTER (WHERE indisvalid), count(*) FILTER (WHERE indisunique),
       count(*) FILTER (WHERE pg_get_expr(indpred, indrelid) LIKE '%(amount % 2)%')
FROM pg_index WHERE indexrelid >= 16384
  AND indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = '"Shop"'::regnamespace)
"""


def script(operation: str, *arguments, **options) -> list[str]:
    """The statements that the operation writes, as they would be sent one by one."""
    output = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": output, "transaction_per_migration": True}
    )
    with context.begin_transaction(_per_migration=True):
        getattr(Operations(context), operation)(*arguments, **options)
    return [statement for statement in output.getvalue().split("\n\n") if statement.strip()]


def run(url: str, statements: list[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def shop_url(any_database_url) -> str:
    execute(any_database_url, TABLES)
    return any_database_url


def test_for_a_partitioned_table_it_builds_partition_by_partition(shop_url):
    columns, where = ["day", text("amount DESC")], "amount % 2 = 0"
    statements = script(
        "create_index_concurrently", "by amount", "Sales", columns, unique=True, where=where, schema="Shop",
        partitioned=True,
    )  # fmt: skip

    run(shop_url, statements)

    assert fetch(shop_url, INDEXES) == (4, 4, 4, 4)
    assert fetch(shop_url, 'SELECT count(*) FROM pg_partition_tree(\'"Shop"."by amount"\')') == (4,)


def test_the_index_is_dropped_whatever_its_table_is(shop_url):
    execute(shop_url, 'CREATE INDEX by_day ON "Shop"."Sales" (day); CREATE INDEX by_state ON "Shop"."Orders" (state)')

    for name, table in (("by_day", "Sales"), ("by_state", "Orders"), ("by_day", "Sales")):
        run(shop_url, script("drop_index_concurrently", name, table, schema="Shop"))

    assert fetch(shop_url, INDEXES) == (0, 0, 0, 0)
