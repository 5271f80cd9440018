"""The lock trace, held against what was measured by hand: which lock each kind of DDL takes, and what it rewrites."""

import psycopg
import pytest

from migrator.authoring.lock_trace import HeldLock, LockTrace, TracedStatement, strongest_locks
from migrator.authoring.traced_connection import TracedConnection

ROWS = 3000
SCHEMA = f"""
CREATE TABLE p (id bigint PRIMARY KEY, code integer UNIQUE);
CREATE TABLE t (id bigint NOT NULL, a integer NOT NULL, b integer, v varchar(20), x text, ts timestamp, u integer,
    CONSTRAINT pk_t PRIMARY KEY (id), CONSTRAINT ck_late CHECK (a >= 0) NOT VALID,
    CONSTRAINT ck_b CHECK (b IS NOT NULL));
INSERT INTO p SELECT g, g FROM generate_series(0, {ROWS}) g;
INSERT INTO t SELECT g, g, g, g::text, g::text, now(), g FROM generate_series(1, {ROWS}) g;
ALTER TABLE t ADD CONSTRAINT fk_late FOREIGN KEY (a) REFERENCES p (id) NOT VALID;
CREATE INDEX ix_t_b ON t (b);
CREATE UNIQUE INDEX uq_t_u ON t (u);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE logs (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');
CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-01-02') TO ('2026-01-03');
CREATE TABLE logs_3 (LIKE logs, CONSTRAINT ck_3 CHECK (day >= '2026-01-03' AND day < '2026-01-04'));
INSERT INTO logs SELECT g, '2026-01-01' FROM generate_series(1, {ROWS}) g;
CREATE INDEX ix_logs ON logs (id);
CREATE INDEX ix_logs_day ON ONLY logs (day);
CREATE INDEX ix_logs_1_day ON logs_1 (day);
"""
AE, SRE, S, SUE, RS, AS = (
    "AccessExclusive", "ShareRowExclusive", "Share", "ShareUpdateExclusive", "RowShare", "AccessShare",
)  # fmt: skip

LOCKS = [
    ("ALTER TABLE t ADD COLUMN c text", {"t": AE}),
    ("ALTER TABLE t DROP COLUMN x", {"t": AE}),
    ("ALTER TABLE t RENAME COLUMN x TO y", {"t": AE}),
    ("ALTER TABLE t RENAME TO t2", {"t": AE}),
    ("ALTER TABLE t ALTER COLUMN x SET DEFAULT ''", {"t": AE}),
    ("ALTER TABLE t ALTER COLUMN x SET NOT NULL", {"t": AE}),
    ("ALTER TABLE t ALTER COLUMN v TYPE varchar(40)", {"t": AE}),
    ("ALTER TABLE t ADD CONSTRAINT ck_n CHECK (b > 0)", {"t": AE}),
    ("ALTER TABLE t ADD CONSTRAINT ck_n CHECK (b > 0) NOT VALID", {"t": AE}),
    ("DROP TABLE t", {"t": AE}),
    ("TRUNCATE t", {"t": AE}),
    ("ALTER TABLE t ADD CONSTRAINT uq_t_a UNIQUE (a)", {"t": AE}),
    ("ALTER TABLE t ADD CONSTRAINT uq_t_u UNIQUE USING INDEX uq_t_u", {"t": AE}),
    ("ALTER TABLE t VALIDATE CONSTRAINT ck_late", {"t": SUE}),
    ("ALTER TABLE t VALIDATE CONSTRAINT fk_late", {"t": SUE, "p": RS}),
    ("ALTER TABLE t ADD CONSTRAINT fk_n FOREIGN KEY (b) REFERENCES p (id)", {"t": SRE, "p": SRE}),
    ("ALTER TABLE t ADD CONSTRAINT fk_n FOREIGN KEY (b) REFERENCES p (id) NOT VALID", {"t": SRE, "p": SRE}),
    ("CREATE TABLE n (id bigint REFERENCES t (id))", {"t": SRE}),
    ("CREATE INDEX ix_n ON t (a)", {"t": S}),
    ("DROP INDEX ix_t_b", {"t": AE}),
    ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", {"t": SRE}),
    ("ALTER TABLE t SET (fillfactor = 80)", {"t": SUE}),
    ("ALTER TABLE t SET (autovacuum_enabled = off)", {"t": SUE}),
    ("COMMENT ON TABLE t IS 'x'", {"t": SUE}),
    ("ALTER INDEX ix_t_b RENAME TO ix_t_c", {"ix_t_b": SUE}),
    ("REINDEX INDEX ix_t_b", {"t": S, "ix_t_b": AE}),
    ("CREATE TABLE n PARTITION OF logs FOR VALUES FROM ('2026-01-05') TO ('2026-01-06')", {"logs": AE}),
    ("ALTER TABLE logs ATTACH PARTITION logs_3 FOR VALUES FROM ('2026-01-03') TO ('2026-01-04')",
     {"logs": SUE, "logs_3": AE}),
    ("ALTER TABLE logs DETACH PARTITION logs_2", {"logs": AE, "logs_2": AE}),
    ("DROP TABLE logs_2", {"logs": AE, "logs_2": AE}),
    ("CREATE INDEX ix_n ON logs (day, id)", {"logs": S, "logs_1": S, "logs_2": S}),
    ("CREATE INDEX ix_n ON ONLY logs (day, id)", {"logs": S}),
    ("ALTER INDEX ix_logs_day ATTACH PARTITION ix_logs_1_day",
     {"logs": AS, "logs_1": AS, "ix_logs_day": SUE, "ix_logs_1_day": AE}),
    ("ALTER TABLE logs ADD COLUMN c text", {"logs": AE, "logs_1": AE, "logs_2": AE}),
    ("DROP INDEX ix_logs", {"logs": AE, "logs_1": AE, "logs_2": AE}),
]  # fmt: skip
REWRITES = [
    ("ALTER TABLE t ADD COLUMN c integer DEFAULT 5", False),
    ("ALTER TABLE t ADD COLUMN c timestamptz DEFAULT now()", False),
    ("ALTER TABLE t ALTER COLUMN v TYPE varchar(40)", False),
    ("ALTER TABLE t ALTER COLUMN v TYPE text", False),
    ("ALTER TABLE t ALTER COLUMN ts TYPE timestamptz", False),
    ("ALTER TABLE t ALTER COLUMN b SET NOT NULL", False),
    ("ALTER TABLE t ALTER COLUMN x SET NOT NULL", False),
    ("ALTER TABLE t ADD COLUMN c timestamptz DEFAULT clock_timestamp()", True),
    ("ALTER TABLE t ADD COLUMN c uuid DEFAULT gen_random_uuid()", True),
    ("ALTER TABLE t ALTER COLUMN x TYPE varchar(30)", True),
    ("ALTER TABLE t ALTER COLUMN a TYPE bigint", True),
    ("ALTER TABLE t ADD COLUMN c bigint GENERATED ALWAYS AS IDENTITY", True),
    ("ALTER TABLE t ADD COLUMN c integer GENERATED ALWAYS AS (b * 2) STORED", True),
    ("ALTER TABLE t SET UNLOGGED", True),
]
OUTSIDE = [
    ("CREATE INDEX CONCURRENTLY ix_n ON t (a)", {"t": SUE}),
    ("DROP INDEX CONCURRENTLY ix_t_b", {"t": SUE}),
]


@pytest.fixture(scope="module")
def oracle_url(any_postgres):
    name = "authoring_oracle"
    url = any_postgres.create_database(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)
    yield url
    any_postgres.drop_database(name)


def traced(url, statement, *, autocommit=False):
    """Run *statement* under the trace; in a transaction, undo it."""
    with TracedConnection.connect(url, autocommit=autocommit, options="-c TimeZone=UTC") as connection:
        trace = LockTrace(url, [])
        connection.observer = trace
        try:
            connection.execute(statement)
            connection.rollback()
        finally:
            trace.close()
    [seen] = trace.statements
    return seen


def strongest(statement):
    order = [AS, RS, "RowExclusive", SUE, S, SRE, "Exclusive", AE]
    found = {}
    for lock in statement.locks:
        name = lock.relation.removeprefix("public.")
        found[name] = max(found.get(name, AS), lock.mode, key=order.index)
    return found


@pytest.mark.parametrize(("statement", "expected"), LOCKS, ids=[row[0] for row in LOCKS])
def test_the_trace_sees_the_lock_that_was_measured_by_hand(oracle_url, statement, expected):
    found = strongest(traced(oracle_url, statement))

    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(("statement", "rewrites"), REWRITES, ids=[row[0] for row in REWRITES])
def test_the_trace_sees_a_rewrite_and_only_that(oracle_url, statement, rewrites):
    assert traced(oracle_url, statement).rewrites == (["public.t"] if rewrites else [])


@pytest.mark.parametrize(("statement", "expected"), OUTSIDE, ids=[row[0] for row in OUTSIDE])
def test_the_trace_sees_locks_outside_a_transaction_too(oracle_url, statement, expected):
    with psycopg.connect(oracle_url, autocommit=True) as writer, psycopg.connect(oracle_url) as blocker:
        # An open transaction holds the index build up long enough for anybody to look.
        blocker.execute("INSERT INTO t (id, a, b) VALUES (-1, 0, 0)")
        from threading import Timer  # noqa: PLC0415 - only here

        ends = Timer(0.3, blocker.rollback)
        ends.start()
        found = strongest(traced(oracle_url, statement, autocommit=True))
        ends.join()
        writer.execute("DROP INDEX IF EXISTS ix_n")
        writer.execute("CREATE INDEX IF NOT EXISTS ix_t_b ON t (b)")

    assert {name: found.get(name) for name in expected} == expected


def test_a_lock_is_held_until_its_transaction_ends(oracle_url):
    with TracedConnection.connect(oracle_url) as connection:
        trace = LockTrace(oracle_url, [])
        connection.observer = trace
        connection.execute("ALTER TABLE t ADD COLUMN c text")
        connection.execute("SELECT pg_sleep(0.2)")
        connection.rollback()
        trace.close()

    [held] = [lock.held_ms for lock in trace.statements[0].locks if lock.mode == AE]
    assert 200 <= held < 2000
    assert trace.statements[0].duration_ms < held


def test_a_lock_of_a_transaction_block_is_held_until_the_block_ends(oracle_url):
    with TracedConnection.connect(oracle_url, autocommit=True) as connection:
        trace = LockTrace(oracle_url, [])
        connection.observer = trace
        with connection.transaction(), connection.transaction():
            connection.execute("LOCK TABLE t IN EXCLUSIVE MODE")
        held = [lock.held_ms for lock in trace.statements[0].locks]
        connection.execute("SELECT pg_sleep(0.2)")
        trace.close()

    assert held
    assert None not in held
    assert [lock.held_ms for lock in trace.statements[0].locks] == held


def test_of_a_lock_that_was_taken_again_and_again_the_longest_counts():
    held = [HeldLock("public.t", SUE, is_index=False, held_ms=ms) for ms in (1.0, 300.0, 2.0)]

    [summary] = strongest_locks([TracedStatement("", locks=[lock]) for lock in held])

    assert str(summary) == "ShareUpdateExclusive on public.t for 300 ms"
