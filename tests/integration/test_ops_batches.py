"""op.run_in_batches: every row that matches, each once, others not stopped, and no step back after a kill."""

import logging
import threading

import psycopg
import pytest
from psycopg import sql

from migrator.errors import PermanentError, TemporaryError
from migrator.ops import batches
from migrator.upgrade import upgrade_to_head
from tests.fixtures.logs import wait_until
from tests.fixtures.orders import execute, fetch, revision
from tests.fixtures.small_environment import small_environment, starting_process
from tests.fixtures.sql_script import rendered
from tests.fixtures.termination import kill, moments_of

TABLES = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Orders" (id int PRIMARY KEY, state text, touched int DEFAULT 0);
INSERT INTO "Shop"."Orders" SELECT n, CASE WHEN n % 2 = 0 THEN 'old' END FROM generate_series(1, 100) n;
"""
KEYS = {
    "uuid": ("id uuid", "id", "gen_random_uuid()"),
    "composite": ("a text, b timestamptz", "b, a", "(n % 7)::text, timestamptz '2026-01-01' + n / 7 * interval '1 s'"),
    "number": ('"My key" numeric(12,2)', '"My key"', "n * 1.5 - 100"),
    "char": ("code char(5), n bigint", "code, n", "n % 3 || 'abc', n"),
}
OLD = "SELECT count(*) FROM {} WHERE state IS DISTINCT FROM 'new'"
POSITION = "SELECT position[1]::int, changed_rows FROM migrator.batch_positions"


def change(table="Orders", **options):
    options = {"where": "state IS DISTINCT FROM 'new'", "batch_rows": 10, "duty": 1, "schema": "Shop"} | options
    return lambda op: op.run_in_batches(
        table, options.pop("change", "SET state = 'new', touched = touched + 1"), **options
    )


def run(url: str, operate) -> None:
    with revision(url) as op:
        operate(op)


def told(caplog, event="batches_done"):
    return [record for record in caplog.records if getattr(record, "event", "") == event]


@pytest.fixture
def shop_url(database_url, caplog) -> str:
    caplog.set_level(logging.INFO)
    execute(database_url, TABLES)
    return database_url


@pytest.fixture
def any_shop_url(any_database_url, caplog) -> str:
    caplog.set_level(logging.INFO)
    execute(any_database_url, TABLES)
    return any_database_url


def test_each_row_that_matches_is_changed_once_and_the_others_are_not(any_shop_url, caplog):
    run(any_shop_url, change(where="state = 'old'"))
    run(any_shop_url, change(where="state = 'old'"))

    counts = 'SELECT array_agg(DISTINCT (id % 2, state, touched)::text) FROM "Shop"."Orders"'
    assert fetch(any_shop_url, counts) == (["(0,new,1)", "(1,,0)"],)
    assert [record.changed_rows for record in told(caplog)] == [50]
    assert fetch(any_shop_url, "SELECT count(*) FROM migrator.batch_positions") == (0,)


@pytest.mark.parametrize("key", KEYS)
def test_any_primary_key_is_a_way_through_the_table(any_shop_url, key):
    columns, listed, values = KEYS[key]
    execute(
        any_shop_url,
        f'CREATE TABLE "Shop".t ({columns}, state text, PRIMARY KEY ({listed}))',
        f"INSERT INTO \"Shop\".t SELECT {values}, 'old' FROM generate_series(1, 200) n",
    )

    run(any_shop_url, change("t", change="SET state = 'new'"))

    assert fetch(any_shop_url, OLD.format('"Shop".t')) == (0,)


def test_of_a_partitioned_table_a_batch_touches_the_partitions_of_its_keys_only(any_shop_url):
    execute(
        any_shop_url,
        'CREATE TABLE "Shop".logs (day timestamptz, id uuid, state text, PRIMARY KEY (day, id)) '
        "PARTITION BY RANGE (day)",
        *(
            f'CREATE TABLE "Shop".logs_{n} PARTITION OF "Shop".logs '
            f"FOR VALUES FROM ('2026-01-0{n} 00:00+00') TO ('2026-01-0{n + 1} 00:00+00')"
            for n in range(1, 4)
        ),
        "INSERT INTO \"Shop\".logs SELECT timestamptz '2026-01-01 00:00+00' + n * interval '1 day', gen_random_uuid() "
        "FROM generate_series(0, 2) n, generate_series(1, 40)",
    )
    locks = "SELECT array_agg(relation::regclass::text ORDER BY 1) FROM pg_locks WHERE mode = 'RowExclusiveLock' "
    locks += "AND relation IN (SELECT oid FROM pg_class WHERE relispartition AND relkind = 'r')"
    seen = []

    class Looking(psycopg.Cursor):
        def execute(self, query, *arguments, **options):
            result = super().execute(query, *arguments, **options)
            text = query.as_string() if isinstance(query, sql.Composable) else str(query)
            if text.startswith("WITH changed AS (UPDATE"):
                seen.append(psycopg.Cursor(self.connection).execute(locks).fetchone()[0])
            return result

    def connect():
        connection = psycopg.connect(any_shop_url)
        connection.cursor_factory = Looking
        return connection

    with revision(any_shop_url, connect) as op:
        change("logs", change="SET state = 'new'")(op)

    assert fetch(any_shop_url, OLD.format('"Shop".logs')) == (0,)
    assert len(seen) == 13
    assert seen[1] == ['"Shop".logs_1']
    assert seen[6] == ['"Shop".logs_2']


def test_whenever_it_is_killed_the_next_run_goes_on_there(any_shop_url):
    operate = change(batch_rows=40)
    moments = moments_of(any_shop_url, operate)
    for moment in moments:
        execute(any_shop_url, 'UPDATE "Shop"."Orders" SET state = \'old\', touched = 0', "DROP SCHEMA migrator CASCADE")
        kill(any_shop_url, operate, moment)
        # The rows of a batch and the position behind it are there together, or not at all.
        done = fetch(any_shop_url, 'SELECT count(*) FROM "Shop"."Orders" WHERE touched = 1')[0]
        assert done in {0, 100} or fetch(any_shop_url, POSITION) == (done, done), moment

        run(any_shop_url, operate)

        assert fetch(any_shop_url, 'SELECT array_agg(DISTINCT touched) FROM "Shop"."Orders"') == ([1],), moment
    assert len(moments) >= 8


def test_a_killed_process_is_followed_by_one_that_looks_at_nothing_twice(database_url, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    small = small_environment(tmp_path)
    small.add("r1", f"op.execute({TABLES!r})")
    shop_url = database_url
    upgrade_to_head(small.environment, shop_url)
    operation = "op.run_in_batches('Orders', \"SET state = 'new'\", where=\"state IS DISTINCT FROM 'new'\", "
    operation += "batch_rows=10, schema='Shop')"
    small.add("r2", operation, extra="from migrator import ops\nidempotent = True")
    with psycopg.connect(shop_url) as client:
        client.execute('SELECT FROM "Shop"."Orders" WHERE id = 55 FOR UPDATE')
        with starting_process(small.environment) as process:
            process.tell(shop_url)
            wait_until(lambda: fetch(shop_url, "SELECT to_regclass('migrator.batch_positions')") != (None,))
            wait_until(lambda: (fetch(shop_url, POSITION) or (0,))[0] >= 40)
            process.popen.kill()
            process.popen.wait()
    stopped = fetch(shop_url, POSITION)
    assert 40 <= stopped[0] < 55
    assert stopped[1] == stopped[0]
    # What is written behind its back it finds in the end all the same.
    execute(shop_url, 'UPDATE "Shop"."Orders" SET state = \'old\' WHERE id = 7')

    assert upgrade_to_head(small.environment, shop_url).after.revision == "r2"

    assert [record.changed_rows for record in told(caplog)] == [100, 1]
    assert fetch(shop_url, OLD.format('"Shop"."Orders"')) == (0,)


def test_a_locked_row_is_waited_for_and_nobody_else_is_held_up(any_shop_url, monkeypatch, caplog):
    monkeypatch.setattr(batches, "_SETTINGS", sql.SQL("SET LOCAL lock_timeout = 20"))
    with psycopg.connect(any_shop_url) as owner, psycopg.connect(any_shop_url, autocommit=True) as client:
        owner.execute('SELECT FROM "Shop"."Orders" WHERE id = 55 FOR UPDATE')
        client.execute("SET lock_timeout = '300ms'")
        changing = threading.Thread(target=run, args=[any_shop_url, change()])
        changing.start()
        wait_until(lambda: told(caplog, "batch_delayed"))

        client.execute('INSERT INTO "Shop"."Orders" VALUES (101, \'old\')')
        client.execute('UPDATE "Shop"."Orders" SET touched = 5 WHERE id IN (1, 99)')
        client.execute('DELETE FROM "Shop"."Orders" WHERE id = 98')
        assert changing.is_alive()
        owner.commit()
        changing.join()

    assert fetch(any_shop_url, OLD.format('"Shop"."Orders"')) == (0,)
    assert fetch(any_shop_url, 'SELECT array_agg(touched ORDER BY id) FROM "Shop"."Orders" WHERE id IN (1, 99)') == (
        [5, 6],
    )


def test_a_row_that_stays_locked_ends_it_and_what_was_done_is_kept(shop_url, monkeypatch):
    monkeypatch.setattr(batches, "LOCKED_BUDGET_SECONDS", 0.1)
    with psycopg.connect(shop_url) as owner:
        owner.execute('SELECT FROM "Shop"."Orders" WHERE id = 55 FOR UPDATE')

        with pytest.raises(TemporaryError, match="stayed locked by another session"):
            run(shop_url, change())

    assert fetch(shop_url, POSITION)[0] >= 40
    run(shop_url, change())
    assert fetch(shop_url, 'SELECT array_agg(DISTINCT touched) FROM "Shop"."Orders"') == ([1],)


def test_progress_is_told_with_an_estimate_of_the_whole(shop_url, monkeypatch, caplog):
    monkeypatch.setattr(batches, "PROGRESS_SECONDS", 0.0)
    execute(shop_url, 'ANALYZE "Shop"."Orders"')

    run(shop_url, change(batch_rows=25))

    progress = [(r.changed_rows, r.seen_rows, r.estimated_rows) for r in told(caplog, "batches_progress")]
    assert progress[0] == (25, 25, 100)
    assert [(r.changed_rows, r.estimated_rows) for r in told(caplog)] == [(100, 100)]


def test_rows_are_deleted_too(shop_url):
    run(shop_url, change(change="DELETE", where="state = 'old'"))

    assert fetch(shop_url, 'SELECT count(*), count(state) FROM "Shop"."Orders"') == (50, 0)


def test_clients_that_write_matching_rows_for_ever_are_not_chased_for_ever(shop_url, monkeypatch, caplog):
    execute(
        shop_url,
        'CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO "Shop"."Orders" '
        'SELECT min(id) - 1 FROM "Shop"."Orders"; RETURN NULL; END$$',
        'CREATE TRIGGER again AFTER UPDATE ON "Shop"."Orders" EXECUTE FUNCTION again()',
    )

    run(shop_url, change(batch_rows=1000))

    assert [record.walks for record in told(caplog, "batches_outrun")] == [3]
    assert fetch(shop_url, 'SELECT count(*) FROM "Shop"."Orders" WHERE id BETWEEN 1 AND 100 AND touched = 1') == (100,)


@pytest.mark.parametrize(
    ("ddl", "operate", "complaint"),
    [
        ("SELECT 1", change(change="SET touched = 1"), "10 rows of Shop.Orders still match the condition"),
        ("SELECT 1", change(change="SET state = 1 / 0"), "division by zero. The batch was undone, 0 rows"),
        ("SELECT 1", change(where="gone"), 'column "gone" does not exist'),
        ('ALTER TABLE "Shop"."Orders" DROP CONSTRAINT "Orders_pkey"', change(), "no primary key"),
        ("SELECT 1", change("gone"), "Shop.gone is not there"),
        ("SELECT 1", change(change="TRUNCATE"), "takes `SET ...` or `DELETE`"),
        ("SELECT 1", change(batch_rows=0), "at least one row a batch"),
        ("SELECT 1", change(duty=0), "a duty above 0"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(shop_url, ddl, operate, complaint):
    execute(shop_url, ddl)

    with pytest.raises(PermanentError, match=complaint):
        run(shop_url, operate)

    assert fetch(shop_url, 'SELECT max(touched), max(state) FROM "Shop"."Orders"') == (0, "old")


def test_a_batch_that_takes_too_long_ends_it_and_what_was_done_is_kept(shop_url, monkeypatch):
    settings = sql.SQL("SET LOCAL statement_timeout = 200")
    monkeypatch.setattr(batches, "_SETTINGS", settings)
    slow = change(change="SET state = CASE WHEN id > 30 THEN pg_sleep(9)::text ELSE 'new' END")

    with pytest.raises(TemporaryError, match="took longer than 60 s"):
        run(shop_url, slow)

    last_id, rows = fetch(shop_url, POSITION)
    # How far the last batch before the slow rows reached depends on the machine's pace.
    assert 0 < last_id == rows <= 30


def test_the_pause_is_the_share_of_time_that_is_not_for_work_and_batches_adapt():
    pace = batches.Pace(batches.BatchedChange(None, "DELETE", "true", batch_rows=250, duty=0.25))

    assert pace.rows == 100
    assert pace.pause_after(0.1) == pytest.approx(0.3)
    assert pace.rows == 200
    assert pace.pause_after(0.01) == pytest.approx(0.03)
    assert pace.rows == 250
    assert pace.pause_after(100.0) == batches.MAX_PAUSE_SECONDS
    assert pace.rows == 1


def test_offline_it_is_one_statement_and_says_what_that_costs(shop_url):
    script = rendered(change(where="state LIKE 'o%'"))

    assert "-- transaction, but keeps every row that it changes locked until it commits." in script
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute(script.encode())
    assert fetch(shop_url, 'SELECT count(*) FROM "Shop"."Orders" WHERE touched = 1 AND id % 2 = 0') == (50,)
