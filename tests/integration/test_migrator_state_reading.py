"""The states of a database, each made for real and read from outside."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from migrator.fingerprint_files import write_fingerprints
from migrator.lock import MigrationLock
from migrator.state import DatabaseState, State, read_state
from migrator.upgrade import upgrade_to_head
from servers.ports import free_port
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.small_environment import SmallEnvironment, rows, small_environment, starting_process

INDEX = """
with op.get_context().autocommit_block():
    op.execute('CREATE INDEX CONCURRENTLY IF NOT EXISTS items_label ON items (label)')
"""
TWO_ALIKE = "INSERT INTO items VALUES (1, 'a'), (2, 'a')"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, postgres: TestDatabaseServer) -> SmallEnvironment:
    """The environment with its fingerprints, which take longer to make than to copy."""
    environment = small_environment(tmp_path_factory.mktemp("finished"), foreign=("other_version",))
    environment.add("r1", "op.execute('CREATE TABLE items (id int PRIMARY KEY, label text)')")
    environment.add("r2", INDEX, compatible_with="r1", extra="idempotent = True")
    environment.add("r3", "op.execute('CREATE TABLE third (id int CHECK (id > 0))')", compatible_with="r1")
    write_fingerprints(environment.environment, postgres.create_database("state_reading"))
    postgres.drop_database("state_reading")
    return environment


@pytest.fixture
def small(tmp_path: Path, finished: SmallEnvironment) -> SmallEnvironment:
    shutil.copytree(finished.folder, tmp_path / "small")
    return SmallEnvironment(replace(finished.environment, folder=tmp_path / "small"))


@pytest.fixture
def url(any_database_url: str) -> str:
    return any_database_url


def at_head(small: SmallEnvironment, url: str) -> None:
    upgrade_to_head(small.environment, url)


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def empty(small: SmallEnvironment, url: str) -> None:
    run(url, "CREATE SCHEMA elsewhere")


def unversioned(small: SmallEnvironment, url: str) -> None:
    run(url, "CREATE TABLE items (id int PRIMARY KEY, label text); CREATE TABLE small_version (version_num text)")


def behind(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    small.add("r4").add("r5")


def ahead_compatible(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    small.without("r3", head="r2")


def ahead_incompatible(small: SmallEnvironment, url: str) -> None:
    small.add("r4")
    at_head(small, url)
    small.without("r4", head="r3")


def diverged(small: SmallEnvironment, url: str) -> None:
    """Another branch's code put its own revision on r3, and said that code of r3 works on it."""
    small.add("b4", compatible_with="r3")
    at_head(small, url)
    small.without("b4", head="r3")
    small.add("r4", compatible_with="r3")


def foreign(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    run(url, "CREATE TABLE other_version (version_num text)")


def two_revisions(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    run(url, "INSERT INTO small_version VALUES ('r1')")


def drifted(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    run(url, "ALTER TABLE items ALTER COLUMN label SET DEFAULT 'none'")


def degraded(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    run(url, TWO_ALIKE)
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY items_once ON items (label)")


def unvalidated(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    run(url, "ALTER TABLE third DROP CONSTRAINT third_id_check")
    run(url, "ALTER TABLE third ADD CONSTRAINT third_id_check CHECK (id > 0) NOT VALID")


MADE = [
    (empty, State.EMPTY, "bring it to head"),
    (unversioned, State.UNVERSIONED, "adopts it"),
    (behind, State.BEHIND, "pending"),
    (at_head, State.AT_HEAD, "what this code needs"),
    (ahead_compatible, State.AHEAD_COMPATIBLE, "finish the deployment"),
    (ahead_incompatible, State.AHEAD_INCOMPATIBLE, "needs code of revision r4 or later"),
    (diverged, State.DIVERGED, "code of another branch"),
    (foreign, State.DIVERGED, "another environment (other_version)"),
    (two_revisions, State.DIVERGED, "holds 2 revisions (r1, r3)"),
    (drifted, State.DRIFTED, "column public.items.label: default is \"'none'::text\", expected not set"),
    (degraded, State.DEGRADED, "REINDEX INDEX CONCURRENTLY items_once"),
    (unvalidated, State.DEGRADED, "ALTER TABLE public.third VALIDATE CONSTRAINT third_id_check"),
]


@pytest.mark.parametrize(("make", "state", "reason"), MADE, ids=[make.__name__ for make, *_ in MADE])
def test_each_state_is_told_right_with_its_reason(
    small: SmallEnvironment, url: str, make: Callable[[SmallEnvironment, str], None], state: State, reason: str
) -> None:
    make(small, url)

    found = read_state(small.environment, url)

    assert found.state is state, found
    assert reason in found.reason
    assert found.is_usable == (state in {State.AT_HEAD, State.AHEAD_COMPATIBLE, State.DRIFTED, State.DEGRADED})


def test_behind_tells_by_how_many(small: SmallEnvironment, url: str) -> None:
    behind(small, url)

    found = read_state(small.environment, url)

    assert (str(found), found.pending, found.revision, found.head) == ("behind (2)", ("r4", "r5"), "r3", "r5")


def test_migrating_tells_by_whom_since_when_and_how_far(small: SmallEnvironment, url: str) -> None:
    """A reader of the table keeps the concurrent index of r2 waiting, while the state is read."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, label text)")
    with writing(url), starting_process(small.environment) as process:
        process.tell(url)
        found = await_step(small, url)
    migration = found.migration
    assert migration is not None
    assert found.state is State.MIGRATING
    assert (migration.application_name, migration.revision, migration.remaining) == ("migrator:small", "r2", 2)
    assert migration.since is not None
    assert time.time() - migration.since.timestamp() < 60
    assert "waiting for writers" in str(migration.step)
    assert f"server process {migration.pid} (migrator:small, " in found.reason
    assert "at r2, 2 to run: waiting for writers" in found.reason


@contextmanager
def writing(url: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO items VALUES (7, 'open')")
        yield
        connection.rollback()


def await_step(small: SmallEnvironment, url: str) -> DatabaseState:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        found = read_state(small.environment, url)
        if found.migration is not None and "waiting" in str(found.migration.step):
            return found
    raise AssertionError(found)


def test_a_lock_that_is_merely_held_is_a_migration_too(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    with psycopg.connect(url, application_name="somebody") as holder:
        assert MigrationLock(holder, small.environment).try_take()

        found = read_state(small.environment, url)

    assert (found.state, found.is_usable) == (State.MIGRATING, True)
    assert found.migration is not None
    assert (found.migration.application_name, found.migration.remaining) == ("somebody", 0)


def test_what_is_behind_stays_behind_though_a_revision_is_half_done(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    run(url, "UPDATE small_version SET version_num = 'r1'")

    found = read_state(small.environment, url)

    assert (found.state, len(found.pending)) == (State.BEHIND, 2)
    assert "unexpected: table public.third" in found.differences


def test_a_server_that_is_not_there_or_refuses_is_unreachable_and_the_password_is_not_shown(
    small: SmallEnvironment, postgres: TestDatabaseServer, database_url: str
) -> None:
    user, _, host = database_url.removeprefix("postgresql://").partition(":")
    host = host.partition("@")[2]
    for url, reason in (
        (f"postgresql://{user}:swordfish@127.0.0.1:{free_port()}/logs", "Connection refused"),
        (f"postgresql://{user}:swordfish@{host}", "password authentication failed"),
        (f"{database_url}_not", "does not exist"),
        ("postgresql://nobody:swordfish@[broken/logs", "It could not be asked"),
    ):
        found = read_state(small.environment, url)

        assert found.state is State.UNREACHABLE
        assert reason in found.reason
        assert "swordfish" not in found.reason
        assert found.head == "r3"


def test_a_server_that_never_answers_is_unreachable_within_the_time_given(small: SmallEnvironment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://app:secret@127.0.0.1:{listener.getsockname()[1]}/logs"
        began = time.monotonic()
        found = read_state(small.environment, url, timeout_seconds=1.0)

    assert found.state is State.UNREACHABLE
    assert time.monotonic() - began < 3


def test_a_version_table_that_somebody_keeps_locked_is_unreachable_within_the_time_given(
    small: SmallEnvironment, database_url: str
) -> None:
    at_head(small, database_url)
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE small_version IN ACCESS EXCLUSIVE MODE")
        found = read_state(small.environment, database_url, timeout_seconds=2.0)

    assert found.state is State.UNREACHABLE
    assert "did not answer in time" in found.reason
    assert found.took_ms < 3000


def test_broken_files_of_the_environment_do_not_raise_either(small: SmallEnvironment, database_url: str) -> None:
    (small.folder / "HEAD.txt").unlink()

    found = read_state(small.environment, database_url)

    assert (found.state, found.head) == (State.UNREACHABLE, None)
    assert "HEAD.txt cannot be read" in found.reason


def test_a_look_reads_only(small: SmallEnvironment, url: str) -> None:
    at_head(small, url)
    before = rows(url, "SELECT oid, xmin FROM pg_class ORDER BY oid")
    run(url, f"ALTER ROLE CURRENT_USER IN DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")

    assert read_state(small.environment, url).state is State.AT_HEAD
    assert rows(url, "SELECT oid, xmin FROM pg_class ORDER BY oid") == before
