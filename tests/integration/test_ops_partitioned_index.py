"""op.create_index_concurrently on a partitioned table: complete in the end, whenever it is broken off, and for all."""

import logging
import os
import subprocess
import sys
import threading

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from migrator.errors import PermanentError, TemporaryError
from migrator.ops import partitioned_index
from migrator.ops.index_tree import child_name
from servers.postgres import SUPERUSER
from tests.fixtures.logs import wait_until
from tests.fixtures.orders import execute, fetch, revision

SCHEMA = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Sales" (day date NOT NULL, region int NOT NULL, amount int) PARTITION BY RANGE (day);
CREATE TABLE "Shop"."Sales 1" PARTITION OF "Shop"."Sales" FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE "Shop"."Sales 2" PARTITION OF "Shop"."Sales" FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')
    PARTITION BY LIST (region);
CREATE TABLE "Shop"."Sales 2 north" PARTITION OF "Shop"."Sales 2" FOR VALUES IN (1);
CREATE TABLE public.south (region int NOT NULL, amount int, day date NOT NULL);
ALTER TABLE "Shop"."Sales 2" ATTACH PARTITION public.south FOR VALUES IN (2);
INSERT INTO "Shop"."Sales" SELECT date '2026-01-01' + n % 2, 1 + n % 2, n FROM generate_series(1, 100) n;
"""
THIRD = """
CREATE TABLE "Shop"."Sales 3" (LIKE "Shop"."Sales" INCLUDING ALL);
ALTER TABLE "Shop"."Sales" ATTACH PARTITION "Shop"."Sales 3" FOR VALUES FROM ('2026-01-03') TO ('2026-01-04');
"""
LEAVES = ("Sales 1", "Sales 2 north", "south")
ATTACHED = """
SELECT c.relname::text, d.relname::text
FROM pg_partition_tree('"Shop"."by amount"') p JOIN pg_index x ON x.indexrelid = p.relid AND x.indisvalid
JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class d ON d.oid = x.indexrelid WHERE p.isleaf
"""
INDEXES = "SELECT count(*), count(*) FILTER (WHERE indisvalid) FROM pg_index WHERE indexrelid >= 16384"
OID = "SELECT to_regclass('\"Shop\".own')::oid"
INSERT = 'INSERT INTO "Shop"."Sales" VALUES (\'2026-01-01\', 1, 0)'
INTO_FIRST = INSERT.replace("Sales", "Sales 1")
PART = child_name("Sales 1", "by amount")
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'build'"
BUILD = """
import sys
from tests.integration.test_ops_partitioned_index import build
build(sys.argv[1])
"""


def build(url: str, name: str = "by amount", **options) -> None:
    with revision(url) as op:
        op.create_index_concurrently(name, "Sales", ["amount", "day"], schema="Shop", **options)


def attached(url: str) -> dict[str, str]:
    """The valid part of the index at each partition that holds rows, by the partition's name."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute(ATTACHED).fetchall())


def is_complete(url: str, *more: str) -> bool:
    """Whether every partition has one index, all are valid, the parents' too, and there is no other index."""
    return set(attached(url)) == {*LEAVES, *more} and fetch(url, INDEXES) == (5 + len(more),) * 2


def broken_off(monkeypatch, url: str, function: str, call: int) -> None:
    """Let the server end the session of a build when it comes to *function* for the *call*-th time."""
    go_on, calls = getattr(partitioned_index, function), []

    def end_session(*arguments, **options):
        calls.append(function)
        if len(calls) == call:
            execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'build'")
        return go_on(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(partitioned_index, function, end_session)
        patch.setenv("PGAPPNAME", "build")
        with pytest.raises((psycopg.OperationalError, OperationalError)):
            build(url)


@pytest.fixture
def sales_url(any_database_url) -> str:
    execute(any_database_url, SCHEMA)
    return any_database_url


def test_every_partition_gets_its_part_and_the_parents_are_valid(sales_url, caplog):
    caplog.set_level(logging.INFO)
    build(sales_url, where="amount % 2 = 0")
    build(sales_url, where="amount % 2 = 0")

    assert is_complete(sales_url)
    assert attached(sales_url) == {leaf: child_name(leaf, "by amount") for leaf in LEAVES}
    steps = [record for record in caplog.records if getattr(record, "event", "") == "index_partition_done"]
    assert [(step.partition, step.number, step.total) for step in steps] == [
        ("Shop.Sales 1", 1, 3),
        ("Shop.Sales 2 north", 2, 3),
        ("public.south", 3, 3),
    ]


@pytest.mark.parametrize(
    ("function", "call"),
    [("locked", 1), ("_cover", 1), ("ensure_index", 2), ("execute_briefly", 1), ("execute_briefly", 3)],
)
def test_broken_off_anywhere_it_goes_on_from_what_the_catalog_shows(sales_url, monkeypatch, function, call):
    broken_off(monkeypatch, sales_url, function, call)
    execute(sales_url, THIRD)

    build(sales_url)

    assert is_complete(sales_url, "Sales 3")


def test_a_process_killed_amid_a_build_leaves_what_the_next_one_mends(sales_url):
    left = f'SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(\'"Shop"."{PART}"\')'
    with psycopg.connect(sales_url) as writer:
        writer.execute(INTO_FIRST)
        environment = os.environ | {"PGAPPNAME": "build"}
        with subprocess.Popen([sys.executable, "-c", BUILD, sales_url], env=environment) as process:
            try:
                wait_until(lambda: fetch(sales_url, left))
            finally:
                process.kill()
        wait_until(lambda: fetch(sales_url, SESSIONS) == (0,))
        assert fetch(sales_url, left) == (False,)

    build(sales_url)

    assert is_complete(sales_url)


def test_an_invalid_part_that_was_attached_is_built_anew(sales_url):
    execute(sales_url, 'CREATE INDEX "by amount" ON ONLY "Shop"."Sales" (amount, day)')
    with psycopg.connect(sales_url) as writer, psycopg.connect(sales_url, autocommit=True) as other:
        writer.execute(INTO_FIRST)
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute('CREATE INDEX CONCURRENTLY part ON "Shop"."Sales 1" (amount, day)')
    execute(sales_url, 'ALTER INDEX "Shop"."by amount" ATTACH PARTITION "Shop".part')

    build(sales_url)

    assert is_complete(sales_url)
    assert attached(sales_url)["Sales 1"] == "part"


def test_an_equal_index_of_a_partition_is_taken(sales_url):
    execute(sales_url, 'CREATE INDEX own ON "Shop"."Sales 1" (amount, day)')
    execute(sales_url, 'CREATE INDEX branch ON "Shop"."Sales 2" (amount, day)')
    oid = fetch(sales_url, OID)

    build(sales_url)

    assert is_complete(sales_url)
    assert attached(sales_url)["Sales 1"] == "own"
    assert fetch(sales_url, OID) == oid
    assert fetch(sales_url, "SELECT inhparent::regclass::text FROM pg_inherits "
                            "WHERE inhrelid = '\"Shop\".branch'::regclass") == ('"Shop"."by amount"',)  # fmt: skip


def test_a_partition_that_goes_while_its_turn_comes_is_no_hindrance(sales_url, monkeypatch):
    cover = partitioned_index._cover

    def drop_south(work, leaf, above):
        if leaf.table.name == "south":
            execute(sales_url, "DROP TABLE public.south")
        cover(work, leaf, above)

    monkeypatch.setattr(partitioned_index, "_cover", drop_south)

    build(sales_url)

    assert set(attached(sales_url)) == {"Sales 1", "Sales 2 north"}
    assert fetch(sales_url, INDEXES) == (4, 4)


def test_writers_go_on_while_one_of_them_holds_the_table(sales_url):
    waiting = """SELECT count(*) > 0 FROM pg_locks
        WHERE relation = '"Shop"."Sales"'::regclass AND mode = 'ShareLock' AND NOT granted"""
    with psycopg.connect(sales_url) as writer, psycopg.connect(sales_url, autocommit=True) as other:
        writer.execute(INSERT)
        building = threading.Thread(target=build, args=[sales_url])
        building.start()
        wait_until(lambda: fetch(sales_url, waiting) == (True,))
        other.execute("SET lock_timeout = '5s'")
        for _ in range(20):
            other.execute(INSERT)
        assert building.is_alive()
        writer.commit()
        building.join()

    assert is_complete(sales_url)


def test_who_holds_the_table_for_too_long_is_named(sales_url, monkeypatch):
    monkeypatch.setattr("migrator.ops.session.EXCLUSIVE_BUDGET_SECONDS", 0.05)
    with psycopg.connect(sales_url, application_name="long import") as writer:
        writer.execute(INSERT)
        with pytest.raises(TemporaryError, match=r"Shop\.Sales could not be locked.*long import"):
            build(sales_url)

    assert fetch(sales_url, INDEXES) == (0, 0)


@pytest.mark.parametrize(
    ("ddl", "complaint"),
    [
        ('CREATE INDEX "by amount" ON "Shop"."Sales" (amount)', r"is 'btree \(amount\)', but 'btree \(amount, day\)'"),
        (f'CREATE INDEX "{PART}" ON "Shop"."Sales 1" (day)', r"is 'btree \(day\)', but 'btree \(amount, day\)'"),
        (f'CREATE TABLE "Shop"."{PART}" ()', "taken by another relation"),
    ],
)
def test_a_name_that_something_else_has_is_refused_and_nothing_is_changed(sales_url, ddl, complaint):
    execute(sales_url, ddl)
    before = fetch(sales_url, INDEXES)

    with pytest.raises(PermanentError, match=complaint):
        build(sales_url)

    assert fetch(sales_url, INDEXES) == before


@pytest.mark.parametrize(("columns", "missing"), [(["amount"], '"day"'), (["day", "amount"], '"region"')])
def test_a_unique_index_without_a_partition_key_is_refused_and_nothing_is_changed(sales_url, columns, missing):
    with pytest.raises(PermanentError, match=f"lacks column {missing}"), revision(sales_url) as op:
        op.create_index_concurrently("once", "Sales", columns, unique=True, schema="Shop")

    assert fetch(sales_url, INDEXES) == (0, 0)


def test_a_foreign_table_among_the_partitions_is_refused_by_name(sales_url, any_postgres):
    with psycopg.connect(any_postgres.url(sales_url.rpartition("/")[2], role=SUPERUSER)) as connection:
        connection.execute("CREATE FOREIGN DATA WRAPPER nobody; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nobody")
        connection.execute(
            'CREATE FOREIGN TABLE public.afar PARTITION OF "Shop"."Sales" FOR VALUES FROM (\'2025-01-01\') '
            "TO ('2025-01-02') SERVER elsewhere"
        )

    with pytest.raises(PermanentError, match=r"among its partitions are: public\.afar\."):
        build(sales_url)

    assert fetch(sales_url, INDEXES) == (0, 0)


def test_a_part_has_a_name_of_its_own_that_fits():
    pairs = [("a_b", "c"), ("a", "b_c"), ("t" * 63, "x"), ("t" * 63, "y"), ("t" * 63, "x" * 63), ("Ü" * 31, "ß" * 31)]
    names = [child_name(*pair) for pair in pairs]

    assert len(set(names)) == len(pairs)
    assert max(len(name.encode()) for name in names) <= 63
    assert child_name("logs_2026_01_01", "ix_logs_level").startswith("logs_2026_01_01_ix_logs_level_")
