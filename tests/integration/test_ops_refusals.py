"""What op.attach_as_partition refuses: by name, in one sentence, and before anything is touched."""

import psycopg
import pytest

from migrator.errors import PermanentError
from migrator.ops.conversion_steps import add_bound
from tests.fixtures.orders import attach, execute, fetch, plan, with_orders


@pytest.fixture
def orders_url(database_url) -> str:
    return with_orders(database_url)


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
