"""op.add_check: proven without stopping anybody, resumed after any kill, clear about rows that break it."""

import threading

import psycopg
import pytest

from migrator.errors import PermanentError
from tests.fixtures.logs import wait_until
from tests.fixtures.orders import execute, fetch, revision
from tests.fixtures.sql_script import rendered
from tests.fixtures.termination import kill, moments_of, steps_of

TABLES = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Orders" (id int PRIMARY KEY, amount int);
INSERT INTO "Shop"."Orders" SELECT n, n FROM generate_series(1, 100) n;
CREATE TABLE "Shop".logs (day date, amount int) PARTITION BY RANGE (day);
CREATE TABLE "Shop".logs_1 PARTITION OF "Shop".logs FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE "Shop".logs_2 PARTITION OF "Shop".logs FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
INSERT INTO "Shop".logs SELECT date '2026-01-01' + n % 2, n FROM generate_series(1, 100) n;
"""
CHECKS = """
SELECT array_agg(conrelid::regclass || ' ' || pg_get_constraintdef(oid) || coalesce(obj_description(oid), '')
                 ORDER BY conrelid::regclass::text) FROM pg_constraint WHERE conname = 'ck amount'
"""
CHECK = "CHECK (((amount % 1000) > 0))"
# Whoever evaluates it for an old row waits as long as somebody else holds the advisory lock.
GATE = """
CREATE FUNCTION "Shop".opened(id int) RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN IF id <= 100 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; RETURN true; END$$
"""
AT_THE_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def add(table="Orders", condition="amount % 1000 > 0"):
    return lambda op: op.add_check("ck amount", table, condition, schema="Shop")


def run(url: str, operate) -> None:
    with revision(url) as op:
        operate(op)


@pytest.fixture
def shop_url(database_url) -> str:
    execute(database_url, TABLES)
    return database_url


@pytest.fixture
def any_shop_url(any_database_url) -> str:
    execute(any_database_url, TABLES)
    return any_database_url


def test_it_is_valid_in_the_end_and_a_second_run_finds_nothing_to_do(any_shop_url):
    run(any_shop_url, add())
    before = fetch(any_shop_url, "SELECT oid, xmin::text FROM pg_constraint WHERE conname = 'ck amount'")

    run(any_shop_url, add())

    assert fetch(any_shop_url, CHECKS) == ([f'"Shop"."Orders" {CHECK}'],)
    assert fetch(any_shop_url, "SELECT oid, xmin::text FROM pg_constraint WHERE conname = 'ck amount'") == before


def test_of_a_partitioned_table_every_partition_has_it_and_the_next_one_too(any_shop_url):
    run(any_shop_url, add("logs"))
    execute(
        any_shop_url,
        "CREATE TABLE \"Shop\".logs_3 PARTITION OF \"Shop\".logs FOR VALUES FROM ('2026-01-03') TO ('2026-01-04')",
    )

    assert fetch(any_shop_url, CHECKS)[0] == [
        f'"Shop".{name} {CHECK}' for name in ("logs", "logs_1", "logs_2", "logs_3")
    ]


@pytest.mark.parametrize("table", ["Orders", "logs"])
def test_whenever_it_is_killed_the_next_run_ends_it(any_shop_url, table):
    moments = moments_of(any_shop_url, add(table))
    expected = fetch(any_shop_url, CHECKS)
    for moment in moments:
        execute(any_shop_url, f'ALTER TABLE "Shop"."{table}" DROP CONSTRAINT "ck amount"')
        kill(any_shop_url, add(table), moment)

        run(any_shop_url, add(table))

        assert fetch(any_shop_url, CHECKS) == expected, moment
    assert len(moments) >= 10


def test_a_partition_that_is_proven_stays_so_when_the_rest_is_interrupted(shop_url):
    prove = 'ALTER TABLE "Shop".{} VALIDATE CONSTRAINT "ck amount"'.format
    steps = steps_of(shop_url, add("logs"))
    execute(shop_url, 'ALTER TABLE "Shop".logs DROP CONSTRAINT "ck amount"')

    kill(shop_url, add("logs"), ("before", steps.index(prove('"logs_2"'))))

    assert fetch(shop_url, CHECKS)[0][1:] == [f'"Shop".logs_1 {CHECK}', f'"Shop".logs_2 {CHECK} NOT VALID']
    again = [step for step in steps_of(shop_url, add("logs")) if "VALIDATE" in step]
    assert again == [prove('"logs_2"'), prove('"logs"')]


def test_writers_go_on_while_the_rows_are_read_through(any_shop_url):
    execute(any_shop_url, GATE)
    with psycopg.connect(any_shop_url, autocommit=True) as client:
        client.execute("SELECT pg_advisory_lock(7); SET lock_timeout = '200ms'")
        adding = threading.Thread(target=run, args=[any_shop_url, add(condition='"Shop".opened(id)')])
        adding.start()
        wait_until(lambda: fetch(any_shop_url, AT_THE_GATE) == (1,))

        client.execute('INSERT INTO "Shop"."Orders" VALUES (101, 101)')
        client.execute('UPDATE "Shop"."Orders" SET amount = 1 WHERE id = 101')
        client.execute('DELETE FROM "Shop"."Orders" WHERE id = 5')
        assert adding.is_alive()
        client.execute("SELECT pg_advisory_unlock(7)")
        adding.join()

    assert fetch(any_shop_url, CHECKS) == (['"Shop"."Orders" CHECK ("Shop".opened(id))'],)


@pytest.mark.parametrize("table", ["Orders", "logs"])
def test_rows_that_break_it_are_counted_and_can_still_be_updated(any_shop_url, table):
    execute(any_shop_url, f'UPDATE "Shop"."{table}" SET amount = -amount WHERE amount <= 3')

    with pytest.raises(PermanentError) as caught:
        run(any_shop_url, add(table))

    assert f"3 rows of Shop.{table} violate ck amount, CHECK (amount % 1000 > 0)" in str(caught.value)
    assert f'`SELECT * FROM "Shop"."{table}" WHERE (amount % 1000 > 0) IS FALSE`' in str(caught.value)
    assert "taken away again" in str(caught.value)
    assert fetch(any_shop_url, CHECKS) == (None,)
    execute(any_shop_url, f'UPDATE "Shop"."{table}" SET amount = 1 WHERE amount < 0')
    run(any_shop_url, add(table))


def test_one_that_an_earlier_revision_left_unproven_is_proven_or_stays_as_it_is(shop_url):
    execute(
        shop_url,
        'UPDATE "Shop"."Orders" SET amount = -1 WHERE id = 1',
        'ALTER TABLE "Shop"."Orders" ADD CONSTRAINT "ck amount" CHECK (amount % 1000 > 0) NOT VALID',
        'COMMENT ON CONSTRAINT "ck amount" ON "Shop"."Orders" IS \' of old\'',
    )

    with pytest.raises(PermanentError, match="still NOT VALID, as it was found"):
        run(shop_url, add())
    assert fetch(shop_url, CHECKS) == ([f'"Shop"."Orders" {CHECK} NOT VALID of old'],)

    execute(shop_url, 'UPDATE "Shop"."Orders" SET amount = 1 WHERE id = 1')
    run(shop_url, add())
    assert fetch(shop_url, CHECKS) == ([f'"Shop"."Orders" {CHECK} of old'],)


@pytest.mark.parametrize(
    ("ddl", "operate", "complaint"),
    [
        ('ALTER TABLE "Shop"."Orders" ADD CONSTRAINT "ck amount" CHECK (id > 0)', add(), r"is 'CHECK \(\(id > 0\)\)'"),
        ('ALTER TABLE "Shop"."Orders" ADD CONSTRAINT "ck amount" UNIQUE (id)', add(), r"is 'UNIQUE \(id\)', but"),
        ('ALTER TABLE "Shop".logs_2 ADD CONSTRAINT "ck amount" CHECK (amount > 0)', add("logs"), "already exists"),
        ("SELECT 1", add(condition="price > 0"), 'column "price" does not exist. Nothing was changed'),
        ("SELECT 1", add("gone"), "Shop.gone is not there"),
        ('CREATE VIEW "Shop".v AS SELECT 1 AS amount', add("v"), "Shop.v is no table"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence_and_nothing_is_touched(shop_url, ddl, operate, complaint):
    execute(shop_url, ddl)
    before = fetch(shop_url, CHECKS)

    with pytest.raises(PermanentError, match=complaint):
        run(shop_url, operate)

    assert fetch(shop_url, CHECKS) == before


def test_a_condition_that_names_its_table_is_recognised(shop_url):
    operate = add(condition='"Orders".amount > 0')
    run(shop_url, operate)

    run(shop_url, operate)

    assert fetch(shop_url, CHECKS) == (['"Shop"."Orders" CHECK ((amount > 0))'],)


def test_offline_it_is_a_short_transaction_and_the_validation_outside_of_it(any_shop_url):
    script = rendered(add())

    assert [line for line in script.splitlines() if line] == [
        "BEGIN;",
        "COMMIT;",
        "BEGIN;",
        "SET LOCAL lock_timeout = '4000ms';",
        'ALTER TABLE "Shop"."Orders" ADD CONSTRAINT "ck amount" CHECK (amount % 1000 > 0) NOT VALID;',
        "COMMIT;",
        'ALTER TABLE "Shop"."Orders" VALIDATE CONSTRAINT "ck amount";',
        "BEGIN;",
        "COMMIT;",
    ]
    with psycopg.connect(any_shop_url, autocommit=True) as connection:
        connection.execute(script.encode())
    assert fetch(any_shop_url, CHECKS) == ([f'"Shop"."Orders" {CHECK}'],)
