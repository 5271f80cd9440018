import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from migrator.authoring.chain import read_chain
from migrator.authoring.scratch import reach_scratch
from migrator.errors import PermanentError
from servers import child
from tests.fixtures.logs import wait_until
from tests.fixtures.small_environment import rows, small_environment

ROOT = Path(__file__).parents[2]
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def folder(tmp_path):
    """A scratch folder; whatever serves it ends with the test, because its mark of use goes."""
    folder = tmp_path / "scratch"
    yield folder
    (folder / "used").unlink(missing_ok=True)
    assert ended(folder, 15)


def postmaster(folder):
    """The process id of the server in *folder*, None where there is none."""
    try:
        pid = int((folder / "server" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    return pid


def ended(folder, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not (folder / "address.json").exists() and not (folder / "server" / "data").exists():
            return True
        time.sleep(0.05)
    return False


def test_the_user_that_postgres_must_run_as_gets_through_the_folder_to_its_own(folder, monkeypatch):
    monkeypatch.setattr(child, "unprivileged_identity", lambda: "65534:65534")
    reach_scratch(folder)
    assert folder.stat().st_mode & 0o777 == 0o711

    monkeypatch.setattr(child, "unprivileged_identity", lambda: "self")
    reach_scratch(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_call_finds_the_server_that_the_first_one_started_and_its_databases_at_once(folder, tmp_path):
    small = small_environment(tmp_path)
    small.add("aaaa", 'op.execute("CREATE TABLE things (id bigint)")')
    chain = read_chain(small.environment)
    first = reach_scratch(folder)
    with first.database(chain, "aaaa") as url:
        assert rows(url, "SELECT version_num FROM small_version") == [("aaaa",)]
    pid = postmaster(folder)

    began = time.monotonic()
    second = reach_scratch(folder)
    with second.database(chain, "aaaa") as url, second.database(chain, None) as empty:
        seconds = time.monotonic() - began
        assert rows(url, "SELECT count(*) FROM things") == [(0,)]
        assert rows(empty, "SELECT to_regclass('things')") == [(None,)]

    assert (second, postmaster(folder)) == (first, pid)
    assert seconds < 5
    names = [name for (name,) in rows(first.superuser_url, "SELECT datname FROM pg_database")]
    assert [name for name in names if name.startswith("scratch_")] == []


def test_it_outlives_its_starter_and_ends_when_nobody_used_it_for_a_while(folder):
    script = "import sys; from pathlib import Path; from migrator.authoring.scratch import reach_scratch; "
    script += "reach_scratch(Path(sys.argv[1]), idle_seconds=2)"
    subprocess.run([sys.executable, "-c", script, folder], cwd=ROOT, check=True)
    assert postmaster(folder) is not None

    with psycopg.connect(reach_scratch(folder).superuser_url):
        time.sleep(3)
        assert postmaster(folder) is not None

    assert ended(folder, 15)


def test_it_starts_anew_after_its_keeper_was_killed(folder):
    reach_scratch(folder)
    keeper = int((folder / "server" / "lock").read_text())

    os.kill(keeper, signal.SIGKILL)
    again = reach_scratch(folder)

    assert rows(again.superuser_url, "SELECT 1") == [(1,)]
    assert int((folder / "server" / "lock").read_text()) != keeper


def test_an_interrupted_template_is_made_again(folder, tmp_path):
    small = small_environment(tmp_path)
    small.add("aaaa", 'op.execute("CREATE TABLE things (id bigint)")')
    chain = read_chain(small.environment)
    scratch = reach_scratch(folder)
    with scratch.database(chain, "aaaa"):
        pass
    [(name,)] = rows(scratch.superuser_url, "SELECT datname FROM pg_database WHERE datname LIKE 'template\\_small%'")
    with psycopg.connect(scratch.superuser_url, autocommit=True) as connection:
        connection.execute(f'COMMENT ON DATABASE "{name}" IS NULL')
    with psycopg.connect(f"{scratch.url}{name}", autocommit=True) as connection:
        connection.execute("DROP TABLE things")

    with scratch.database(chain, "aaaa") as url:
        assert rows(url, "SELECT count(*) FROM things") == [(0,)]


def test_of_two_at_once_the_second_waits_for_the_template_that_the_first_one_fills(folder, tmp_path):
    small = small_environment(tmp_path)
    begun, may_end = tmp_path / "begun", tmp_path / "may end"
    waits = f"""
        from pathlib import Path
        Path({str(begun)!r}).touch()
        while not Path({str(may_end)!r}).exists():
            time.sleep(0.01)
        op.execute("CREATE TABLE things (id bigint)")
    """
    chain = read_chain(small.add("aaaa", waits).environment)
    scratch = reach_scratch(folder)

    def count():
        with scratch.database(chain, "aaaa") as url:
            return rows(url, "SELECT count(*) FROM things")

    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(count)
            wait_until(lambda: begun.exists() or first.done())
            second = pool.submit(count)
            wait_until(lambda: rows(scratch.superuser_url, WAITING) == [(1,)])
        finally:
            may_end.touch()
        assert [first.result(), second.result()] == [[(0,)], [(0,)]]


def test_a_revision_that_does_not_run_is_named(folder, tmp_path):
    small = small_environment(tmp_path)
    small.add("aaaa", 'op.execute("CREATE TABLE things (id nonsense)")')

    with (
        pytest.raises(PermanentError, match=r'Revision aaaa .* type "nonsense" does not exist'),
        reach_scratch(folder).database(read_chain(small.environment), "aaaa"),
    ):
        pass


def test_an_env_py_that_uses_the_connection_too_early_is_found_out(folder, tmp_path):
    small = small_environment(tmp_path)
    small.add("aaaa", 'op.execute("CREATE TABLE things (id bigint)")')
    env = small.folder / "env.py"
    early = """
from alembic import context
from sqlalchemy import NullPool, create_engine, text
import os, psycopg
url = context.config.attributes["url"]
engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
with engine.connect() as connection:
    connection.execute(text("SET lock_timeout = '4s'"))
    context.configure(connection=connection, version_table="small_version", transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
    env.write_text(early)

    with (
        pytest.raises(PermanentError, match=r"nothing was committed. Its env.py uses the connection before"),
        reach_scratch(folder).database(read_chain(small.environment), "aaaa"),
    ):
        pass
