"""What is the database server's trouble is waited out: nothing is lost, nothing doubled, nothing condemned."""

import re
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import redis

import logs_db
import worker
from log_events.event_queue import EventQueue
from log_events.wire import encode_frame
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.obstacles import blocked, locked
from tests.fixtures.written import Writing, entry, letters, rows, writer_on
from worker.receive import Receiver
from worker.write import Writer


def disconnect(superuser: psycopg.Connection, url: str) -> None:
    """End all connections to the database of *url* but this one."""
    superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database_of(url),))


def database_of(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


@pytest.fixture
def superuser(postgres):
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        yield connection


def waits_for(writer: Writer, words: str) -> bool:
    return words in (writer._patience.waiting_for or "")


@pytest.mark.parametrize(
    ("trouble", "words", "over"),
    [
        ("SET default_transaction_read_only = on", "read-only", "SET default_transaction_read_only = off"),
        ("CONNECTION LIMIT 0", "too many connections", "CONNECTION LIMIT -1"),
    ],
    ids=["a standby after a failover", "too many connections"],
)
def test_a_server_that_takes_nothing_for_now_is_waited_out(writer, logs_database_url, superuser, trouble, words, over):
    database = database_of(logs_database_url)
    first = entry(system_event())
    writer.write([first])
    superuser.execute(f"ALTER DATABASE {database} {trouble}")
    disconnect(superuser, logs_database_url)

    writing = Writing(writer, [entry(system_event(), system_event()), entry(system_event())])
    wait_until(lambda: waits_for(writer, words))
    superuser.execute(f"ALTER DATABASE {database} {over}")

    assert writing.finished()
    with psycopg.connect(logs_database_url) as connection:
        assert (rows(connection), letters(connection)) == (4, {})


def test_a_connection_that_breaks_amid_copy_doubles_nothing(writer, logs_database_url, logs_connection, superuser):
    with locked(logs_database_url):
        writing = Writing(writer, [entry(*(system_event() for _ in range(500)))])
        wait_until(lambda: blocked(logs_database_url))
        (backend,) = blocked(logs_database_url)
        statement = superuser.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone()
        superuser.execute("SELECT pg_terminate_backend(%s)", (backend,))
        wait_until(lambda: waits_for(writer, "terminating connection"))

    assert writing.finished()
    assert statement[0].startswith("COPY")
    assert (rows(logs_connection), letters(logs_connection)) == (500, {})


@contextmanager
def small_disk(folder):
    """A disk of 40 MB; where this process may not mount one, the test is skipped."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(connection: psycopg.Connection) -> None:
    """Leave no room on the disk of the database of *connection*."""
    connection.execute("CREATE TABLE filler AS SELECT NULL::bytea AS ballast WITH NO DATA")
    connection.execute("ALTER TABLE filler ALTER ballast SET STORAGE PLAIN")
    insert = "INSERT INTO filler SELECT convert_to(repeat('x', 7000), 'UTF8') FROM generate_series(1, %s)"
    for rows_at_once in (100, 1):
        with suppress(psycopg.errors.DiskFull):
            while True:
                connection.execute(insert, (rows_at_once,))


def test_a_full_disk_is_waited_out(tmp_path, stop):
    with (
        small_disk(tmp_path / "disk") as disk,
        PostgresServer.start(tmp_path / "postgres", durable=False) as server,
        psycopg.connect(server.superuser_url, autocommit=True) as superuser,
    ):
        url = server.create_database("logs")
        superuser.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        superuser.execute("ALTER DATABASE logs SET TABLESPACE small")
        upgrade_to_head(ENVIRONMENT, url)
        with psycopg.connect(url, autocommit=True) as connection, writer_on(url, stop) as writer:
            fill(connection)
            writing = Writing(writer, [entry(*(system_event(message="x" * 1000) for _ in range(500)))])
            wait_until(lambda: waits_for(writer, "No space left on device"))
            connection.execute("DROP TABLE filler")

            assert writing.finished()
            assert (rows(connection), letters(connection)) == (500, {})


def test_a_redis_whose_clock_jumped_ahead_and_back_costs_no_event(writer, logs_connection, redis_url):
    queue = EventQueue(redis.Redis.from_url(redis_url))
    queue.ensure_group()
    ahead_ms = int((time.time() + 7200) * 1000)
    fields = {"v": "1", "n": "1", "l": "0", "g": "generation", "z": encode_frame([system_event()])}
    queue.client.xadd(queue.keys.stream, fields, id=f"{ahead_ms}-0")
    after = [queue.admit(encode_frame([system_event()]), 1) for _ in range(3)]

    entries = Receiver(queue, "h:1:1/0", "h").receive()
    writer.write(entries)

    assert [each.id for each in entries][1:] == after
    assert all(int(each.partition(b"-")[0]) == ahead_ms for each in after)
    assert (rows(logs_connection), letters(logs_connection)) == (4, {})
    queue.client.close()


def test_no_module_between_stream_and_table_reads_a_clock_nor_any_that_looks_after_the_tables():
    told_by_clock = {
        path.name
        for room in (worker, logs_db)
        for path in Path(room.__file__).parent.rglob("*.py")
        if re.search(r"\btime\.time|(?<!func)\.now\(|utcnow|today\(", path.read_text())
    }

    # The pulse tells when something was done, a worker's name is unlike any other's, and retention compares the clocks.
    assert told_by_clock == {"pulse.py", "receive.py", "retention.py"}
