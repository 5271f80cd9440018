"""Processes that start at once, early, without a server, with a wrong password, or lose what they hold."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from migrator.lock import lock_key
from servers.ports import free_port
from servers.postgres import PostgresServer
from tests.fixtures.small_environment import SmallEnvironment, rows, small_environment, starting_process

PROCESSES = 8
ROUNDS = 3
HISTORY = "SELECT to_revision FROM migrator.history WHERE outcome = 'done' ORDER BY id"


@pytest.fixture
def small(tmp_path: Path) -> SmallEnvironment:
    environment = small_environment(tmp_path)
    environment.add("r1", "op.create_table('items', sa.Column('id', sa.Integer, primary_key=True))")
    environment.add("r2", "op.execute('CREATE TABLE second (id int)')")
    return environment.add(
        "r3",
        """
        with op.get_context().autocommit_block():
            op.execute('CREATE INDEX CONCURRENTLY items_again ON items (id)')
        """,
    )


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PostgresServer]:
    with PostgresServer.start(tmp_path / "postgres", durable=False) as server:
        yield server


def lock_holder(url: str, version_table: str = "small_version") -> int | None:
    """Return the server process that holds the migration lock."""
    key = lock_key(version_table) & (1 << 64) - 1
    found = rows(
        url,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        f"AND classid = {key >> 32} AND objid = {key & 0xFFFFFFFF}",
    )
    return int(str(found[0][0])) if found else None


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_eight_processes_at_once_on_an_empty_database_run_each_revision_once(
    small: SmallEnvironment, own_server: PostgresServer
) -> None:
    urls = [own_server.create_database(f"round_{number}") for number in range(ROUNDS)]
    with ExitStack() as stack:
        processes = [stack.enter_context(starting_process(small.environment)) for _ in range(PROCESSES)]
        for url in urls:
            for process in processes:
                process.tell(url)
            answers = [process.answer() for process in processes]

            assert [answer.get("revision") for answer in answers] == ["r3"] * PROCESSES, answers
            assert rows(url, HISTORY) == [("r1",), ("r2",), ("r3",)]
    log = (own_server.folder / "server.log").read_text()
    assert [line for line in log.splitlines() if "ERROR" in line or "PANIC" in line] == []


def test_a_start_at_head_takes_no_lock_and_imports_neither_alembic_nor_sqlalchemy(
    small: SmallEnvironment, database_url: str
) -> None:
    with starting_process(small.environment) as first:
        first.tell(database_url)
        assert first.answer()["revision"] == "r3"
    with psycopg.connect(database_url) as holder, starting_process(small.environment, peer_seconds=0.0) as second:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("small_version"),))

        second.tell(database_url)
        assert second.answer() == {"revision": "r3", "adopted_at": None, "exit_code": 0, "heavy": []}


def test_a_server_that_comes_up_late_is_waited_for(small: SmallEnvironment, tmp_path: Path) -> None:
    folder, port = tmp_path / "postgres", free_port()
    with PostgresServer.start(folder, port=port, durable=False) as server:
        url = server.create_database("late")
    with starting_process(small.environment, quiet=False, connect_delay_seconds=0.5) as process:
        process.tell(url)
        assert process.wait_for_event("connect_failed")["attempts"] == 5
        with PostgresServer.start(folder, port=port, durable=False):
            assert process.answer()["revision"] == "r3"


def test_a_server_that_never_comes_ends_in_exit_75_after_five_attempts(small: SmallEnvironment) -> None:
    url = f"postgresql://app:secret@127.0.0.1:{free_port()}/logs"
    with starting_process(small.environment, quiet=False, connect_delay_seconds=0.05) as process:
        process.tell(url)
        answer = process.answer()
        process.popen.kill()
        logged = [json.loads(line) for line in process.popen.stderr or ()]

    assert answer["exit_code"] == 75
    assert "could not be reached in 5 attempts 0.05 s apart" in str(answer["error"])
    assert "Connection refused" in str(answer["error"])
    assert [line["attempt"] for line in logged if line["event"] == "connect_failed"] == [1, 2, 3, 4]
    assert "secret" not in json.dumps([answer, logged])


def test_a_wrong_password_or_a_missing_database_ends_in_exit_70_at_once(
    small: SmallEnvironment, any_database_url: str
) -> None:
    user, _, rest = any_database_url.removeprefix("postgresql://").partition(":")
    host = rest.partition("@")[2]
    with starting_process(small.environment, connect_delay_seconds=60.0) as process:
        for url in (f"postgresql://{user}:swordfish@{host}", any_database_url + "_not"):
            process.tell(url)
            answer = process.answer()
            assert answer["exit_code"] == 70
            assert "Trying again will not help" in str(answer["error"])
            assert "swordfish" not in str(answer["error"])


def test_a_lock_holder_killed_in_the_middle_of_a_revision_is_taken_over(
    small: SmallEnvironment, any_database_url: str
) -> None:
    url = any_database_url
    # The first to come gets stuck, as in a revision that takes long.
    small.add("r4", "op.execute('CREATE TABLE fourth (id int)')\nif not patient():\n    time.sleep(60)", extra=PATIENT)
    with starting_process(small.environment) as stuck, starting_process(small.environment, quiet=False) as heir:
        stuck.tell(url)
        wait_until(lambda: rows(url, "SELECT to_regclass('small_version')") != [(None,)] and version(url) == "r3")
        wait_until(lambda: rows(url, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'") != [(0,)])
        (small.folder / "patient").touch()
        heir.tell(url)
        heir.wait_for_event("peer_awaited")
        stuck.popen.kill()
        killed = time.monotonic()

        assert heir.answer()["revision"] == "r4"
        took_seconds = time.monotonic() - killed
    assert took_seconds < 5
    assert rows(url, HISTORY) == [("r1",), ("r2",), ("r3",), ("r4",)]


PATIENT = """
from pathlib import Path
def patient():
    return (Path(__file__).parent.parent / 'patient').exists()
"""


def version(url: str) -> str | None:
    found = rows(url, "SELECT version_num FROM small_version")
    return str(found[0][0]) if found else None


@pytest.mark.parametrize("outside", [False, True], ids=["in a transaction", "outside a transaction"])
def test_a_lock_connection_that_is_ended_lets_no_second_migrator_run_beside_the_first(
    small: SmallEnvironment, any_database_url: str, outside: bool
) -> None:
    url = any_database_url
    work = """
    op.execute("INSERT INTO runs (began) VALUES (clock_timestamp())")
    time.sleep(1.5)
    op.execute("UPDATE runs SET ended = clock_timestamp() WHERE pid = pg_backend_pid()")
    """
    small.add(
        "r4", "op.execute('CREATE TABLE runs (pid int DEFAULT pg_backend_pid(), began timestamptz, ended timestamptz)')"
    )
    small.add("r5", f"with op.get_context().autocommit_block():{work}" if outside else f"if True:{work}")
    small.add("r6", "op.execute('CREATE TABLE sixth (id int)')")
    with starting_process(small.environment) as first, starting_process(small.environment) as second:
        first.tell(url)
        wait_until(lambda: rows(url, "SELECT to_regclass('runs')") != [(None,)] and version(url) == "r4")
        wait_until(lambda: rows(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO runs%'"))
        holder = lock_holder(url)
        second.tell(url)
        time.sleep(0.3)
        rows(url, f"SELECT pg_terminate_backend({holder}, 5000)")
        wait_until(lambda: lock_holder(url) not in {None, holder})

        assert [first.answer()["revision"], second.answer()["revision"]] == ["r6", "r6"]
    assert rows(url, HISTORY) == [(f"r{number}",) for number in range(1, 7)]
    overlaps = "SELECT count(*) FROM runs a, runs b WHERE a.pid < b.pid AND a.began < b.ended AND b.began < a.ended"
    assert rows(url, overlaps) == [(0,)]


def test_a_connection_lost_in_the_middle_of_a_revision_is_begun_again(
    small: SmallEnvironment, database_url: str
) -> None:
    small.add("r4", "op.execute('CREATE TABLE fourth (id int)')\nif not patient():\n    time.sleep(1)", extra=PATIENT)
    with starting_process(small.environment, connect_delay_seconds=0.1) as process:
        process.tell(database_url)
        wait_until(
            lambda: (
                rows(
                    database_url,
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%fourth%' AND pid <> pg_backend_pid()",
                )
                != [(0,)]
            )
        )
        (small.folder / "patient").touch()
        rows(
            database_url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE query LIKE '%fourth%' AND pid <> pg_backend_pid()",
        )

        assert process.answer()["revision"] == "r4"
    assert rows(database_url, HISTORY) == [("r1",), ("r2",), ("r3",), ("r4",)]
