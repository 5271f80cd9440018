"""op.add_not_null: nothing is scanned under a lock, resumed after any kill, one catalog on every version."""

from pathlib import Path

import psycopg
import pytest

from migrator.environment import Environment
from migrator.errors import PermanentError
from migrator.fingerprint import read_fingerprint
from tests.fixtures.orders import execute, fetch, revision
from tests.fixtures.sql_script import rendered
from tests.fixtures.termination import kill, moments_of, steps_of

TABLES = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Orders" (id int PRIMARY KEY, "My note" text);
INSERT INTO "Shop"."Orders" SELECT n, 'x' FROM generate_series(1, 100) n;
CREATE TABLE "Shop".logs (day date, "My note" text) PARTITION BY RANGE (day);
CREATE TABLE "Shop".logs_1 PARTITION OF "Shop".logs FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE "Shop".logs_2 PARTITION OF "Shop".logs FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
INSERT INTO "Shop".logs SELECT date '2026-01-01' + n % 2, 'x' FROM generate_series(1, 100) n;
"""
PLAIN = 'ALTER TABLE "Shop"."{}" ALTER COLUMN "My note" {} NOT NULL'
CONSTRAINTS = """
SELECT array_agg(conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || coninhcount || conislocal
                 ORDER BY conrelid::regclass::text, conname)
FROM pg_constraint WHERE connamespace = '"Shop"'::regnamespace
"""
CHECKS = "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND connamespace = '\"Shop\"'::regnamespace"
NOTHING = Environment("shop", Path(), "shop_version", ())


def add(table="Orders", column="My note"):
    return lambda op: op.add_not_null(table, column, schema="Shop")


def run(url: str, operate) -> None:
    with revision(url) as op:
        operate(op)


def fingerprint(url: str):
    with psycopg.connect(url) as connection:
        return read_fingerprint(connection, NOTHING)


@pytest.fixture
def shop_url(database_url) -> str:
    execute(database_url, TABLES)
    return database_url


@pytest.fixture
def any_shop_url(any_database_url) -> str:
    execute(any_database_url, TABLES)
    return any_database_url


@pytest.mark.parametrize("table", ["Orders", "logs"])
def test_it_leaves_the_catalog_that_set_not_null_leaves(any_shop_url, table):
    execute(any_shop_url, PLAIN.format(table, "SET"))
    constraints, known = fetch(any_shop_url, CONSTRAINTS), fingerprint(any_shop_url)
    execute(any_shop_url, PLAIN.format(table, "DROP"))

    run(any_shop_url, add(table))
    run(any_shop_url, add(table))

    assert fetch(any_shop_url, CONSTRAINTS) == constraints
    assert fingerprint(any_shop_url) == known
    assert [name for name, found in known.items() if name.endswith('."My note"') and found.get("not null")] != []


def test_whenever_it_is_killed_the_next_run_ends_it(any_shop_url):
    moments = moments_of(any_shop_url, add())
    expected = fingerprint(any_shop_url)
    for moment in moments:
        execute(any_shop_url, PLAIN.format("Orders", "DROP"))
        kill(any_shop_url, add(), moment)

        run(any_shop_url, add())

        assert fingerprint(any_shop_url) == expected, moment
    assert len(moments) >= 14


@pytest.mark.parametrize("table", ["Orders", "logs"])
def test_nothing_is_read_through_under_the_exclusive_lock(any_shop_url, table):
    notices: list[str] = []

    def connect() -> psycopg.Connection:
        connection = psycopg.connect(any_shop_url, options="-c client_min_messages=debug1")
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        return connection

    with revision(any_shop_url, connect) as op:
        add(table)(op)

    scanned = sorted(notice for notice in notices if notice.startswith("verifying table"))
    spared = {
        notice.split('"')[1] for notice in notices if "sufficient to prove that it does not contain nulls" in notice
    }
    relations = ["logs_1", "logs_2"] if table == "logs" else ["Orders"]
    assert scanned == [f'verifying table "{name}"' for name in relations]
    assert spared >= {f"{name}.My note" for name in relations}


@pytest.mark.parametrize("table", ["Orders", "logs"])
def test_rows_without_a_value_are_counted_and_can_still_be_updated(any_shop_url, table):
    execute(any_shop_url, f'UPDATE "Shop"."{table}" SET "My note" = NULL WHERE ctid IN (\'(0,3)\', \'(0,4)\')')
    before = fingerprint(any_shop_url)
    without = fetch(any_shop_url, f'SELECT count(*) FROM "Shop"."{table}" WHERE "My note" IS NULL')[0]

    with pytest.raises(PermanentError, match=f"{without} rows of Shop.{table} have nothing in My note") as caught:
        run(any_shop_url, add(table))

    assert 'WHERE ("My note" IS NOT NULL) IS FALSE' in str(caught.value)
    assert "op.run_in_batches" in str(caught.value)
    assert fingerprint(any_shop_url) == before


def test_a_check_that_is_left_over_because_somebody_set_it_by_hand_goes(shop_url):
    check = (
        'ALTER TABLE "Shop"."Orders" ADD CONSTRAINT "Orders_My note_is_given" CHECK ("My note" IS NOT NULL) NOT VALID'
    )
    execute(shop_url, check, PLAIN.format("Orders", "SET"))

    run(shop_url, add())

    assert fetch(shop_url, CHECKS) == (0,)


def test_a_constraint_of_18_that_was_never_validated_is_validated_without_the_exclusive_lock(any_shop_url):
    if fetch(any_shop_url, "SHOW server_version_num")[0] < "180000":
        pytest.skip("NOT NULL is no constraint before PostgreSQL 18")
    execute(any_shop_url, 'ALTER TABLE "Shop"."Orders" ADD CONSTRAINT mine NOT NULL "My note" NOT VALID')

    steps = steps_of(any_shop_url, add())

    validated = steps.index('ALTER TABLE "Shop"."Orders" VALIDATE CONSTRAINT "mine"')
    assert steps[validated + 1].startswith("LOCK TABLE")
    assert validated < steps.index(PLAIN.format("Orders", "SET"))
    assert fetch(any_shop_url, "SELECT convalidated FROM pg_constraint WHERE conname = 'mine'") == (True,)
    assert fetch(any_shop_url, CHECKS) == (0,)


def test_a_name_that_would_be_too_long_is_a_short_one(shop_url):
    long = "n" * 60
    execute(shop_url, f'ALTER TABLE "Shop"."Orders" ADD COLUMN {long} int DEFAULT 1')

    assert 'ADD CONSTRAINT "column_is_given_' in rendered(add(column=long))
    run(shop_url, add(column=long))


@pytest.mark.parametrize(
    ("operate", "complaint"),
    [(add(column="gone"), "Shop.Orders has no column gone"), (add("gone"), "Shop.gone is not there")],
)
def test_what_is_not_there_is_named(shop_url, operate, complaint):
    with pytest.raises(PermanentError, match=complaint):
        run(shop_url, operate)


def test_offline_each_exclusive_lock_is_in_a_short_transaction_of_its_own(any_shop_url):
    run(any_shop_url, add())
    expected = fingerprint(any_shop_url)
    execute(any_shop_url, PLAIN.format("Orders", "DROP"))
    script = rendered(add())

    with psycopg.connect(any_shop_url, autocommit=True) as connection:
        connection.execute(script.encode())

    assert fingerprint(any_shop_url) == expected
    validation = script.split("COMMIT;")[2].split("BEGIN;")[0].strip()
    assert validation == 'ALTER TABLE "Shop"."Orders" VALIDATE CONSTRAINT "Orders_My note_is_given";'
