"""Servers of our own live as long as the process that started them, and their data longer."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
import redis

from servers import cluster, postgres
from servers.binaries import PostgresBinaries
from servers.child import start_child, stop_child, unprivileged_identity
from servers.errors import FolderInUseError, ServerStartError
from servers.postgres import PostgresServer, all_binaries, find_binaries
from servers.valkey import RedisServer

STARTS_BOTH = """
import sys, threading, time
from pathlib import Path
from servers.postgres import PostgresServer, find_binaries
from servers.valkey import RedisServer
folder = Path(sys.argv[1])
def start():
    binaries = find_binaries(int(sys.argv[2]))
    servers = PostgresServer.start(folder / "pg", binaries=binaries), RedisServer.start(folder / "rd")
    print(*(server.process.pid for server in servers), flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
print("thread ended", flush=True)
time.sleep(60)
"""
majors = pytest.mark.parametrize("binaries", all_binaries(), ids=lambda binaries: f"postgres {binaries.major}")


def living_in(folder: Path) -> list[int]:
    """Return the processes whose working folder is *folder* or below: servers and the children that they fork."""
    pids = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                pids.append(int(entry.name))
        except OSError:
            continue
    return pids


def wait_until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
@majors
def test_servers_outlive_the_thread_that_started_them_but_not_a_parent_that_is_killed(tmp_path, binaries):
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_BOTH, tmp_path, str(binaries.major)], stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert parent.stdout.readline() == "thread ended\n"
        time.sleep(0.2)  # what the end of a thread kills is dead by then
        alive = living_in(tmp_path)
        parent.kill()

    assert set(pids) < set(alive)
    assert wait_until(lambda: not living_in(tmp_path)), living_in(tmp_path)


@majors
def test_data_and_password_survive_a_restart(tmp_path, binaries):
    with PostgresServer.start(tmp_path, binaries=binaries) as server:
        url = server.create_database("kept")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
        port = server.port
    with PostgresServer.start(tmp_path, binaries=binaries, port=port) as server:
        assert server.create_database("kept") == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT answer FROM t").fetchone() == (42,)


@majors
def test_a_killed_postgres_starts_again_at_once(tmp_path, binaries):
    server = PostgresServer.start(tmp_path, binaries=binaries)
    for _ in range(3):
        server.kill()
        server = PostgresServer.start(tmp_path, binaries=binaries, port=server.port)
    server.stop()


@pytest.mark.parametrize(
    ("kind", "pid_name", "as_root"), [(PostgresServer, "data/postmaster.pid", False), (RedisServer, "server.pid", True)]
)
def test_a_server_that_a_predecessor_left_behind_is_ended_first(tmp_path, kind, pid_name, as_root):
    with kind.start(tmp_path, durable=False) as first:
        command = Path(f"/proc/{first.process.pid}/cmdline").read_text().split("\0")[:-1]
    identity = "self" if as_root else unprivileged_identity()
    left = start_child(command, log_path=tmp_path / "server.log", identity=identity)
    assert wait_until((tmp_path / pid_name).exists)
    with kind.start(tmp_path, durable=False) as server:
        assert left.wait(timeout=1) is not None
        assert server.process.poll() is None


def test_a_folder_in_use_is_refused_with_the_holder_s_process_id(tmp_path):
    for kind in (PostgresServer, RedisServer):
        with kind.start(tmp_path / kind.__name__, durable=False) as server:
            with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}"):
                kind.start(tmp_path / kind.__name__)
            assert server.process.poll() is None


@majors
def test_data_are_opened_by_the_version_that_made_them(tmp_path, binaries):
    PostgresServer.start(tmp_path, binaries=binaries, durable=False).stop()
    with PostgresServer.start(tmp_path, durable=False) as server:
        assert server.major == binaries.major


def test_what_redis_answered_survives_its_sudden_death(tmp_path):
    server = RedisServer.start(tmp_path)
    with redis.Redis.from_url(server.url) as client:
        for number in range(200):
            client.lpush("list", number)
    server.kill()
    with RedisServer.start(tmp_path, port=server.port) as again, redis.Redis.from_url(again.url) as client:
        assert client.llen("list") == 200
        assert again.url == server.url


def test_an_initdb_that_was_killed_leaves_nothing_that_is_taken_for_data(tmp_path):
    (tmp_path / "data.draft").mkdir()
    (tmp_path / "data.draft" / "PG_VERSION").write_text("18\n")
    with PostgresServer.start(tmp_path, durable=False) as server:
        assert server.process.poll() is None


def test_a_port_in_use_is_named_in_the_error(tmp_path):
    with RedisServer.start(tmp_path / "one", durable=False) as other:
        with pytest.raises(ServerStartError, match="Address already in use"):
            PostgresServer.start(tmp_path / "two", port=other.port, durable=False)
        with pytest.raises(ServerStartError, match="Address already in use"):
            RedisServer.start(tmp_path / "three", port=other.port, durable=False)


def test_a_bad_setting_ends_in_what_postgres_said(tmp_path):
    with pytest.raises(ServerStartError, match="unrecognized configuration parameter"):
        PostgresServer.start(tmp_path, durable=False, settings={"no_such_setting": "1"})


def test_foreign_passwords_are_noticed_at_once(tmp_path):
    PostgresServer.start(tmp_path, durable=False).stop()
    (tmp_path / "passwords.json").unlink()
    with pytest.raises(ServerStartError, match=r"passwords\.json .* does not belong to the data"):
        PostgresServer.start(tmp_path, durable=False)
    assert living_in(tmp_path) == []


def test_a_child_is_the_command_itself_and_stops_on_request(tmp_path):
    started = []
    thread = threading.Thread(target=lambda: started.append(start_child(["sleep", "60"], log_path=tmp_path / "log")))
    thread.start()
    thread.join()
    process = started[0]
    assert wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
    assert process.poll() is None
    assert os.getpgid(process.pid) == process.pid
    assert stop_child(process, signal.SIGTERM) == -signal.SIGTERM


as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_folder():
    """A folder that every user can reach, unlike those that pytest makes."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def everybody_can_run(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


@pytest.fixture
def nobody():
    """An ordinary user's identity, where that user can run the servers."""
    if not everybody_can_run(find_binaries().folder):
        pytest.skip(f"an ordinary user cannot read {find_binaries().folder}")
    user = pwd.getpwnam("nobody")
    return f"{user.pw_uid}:{user.pw_gid}"


@pytest.fixture
def everybody_s_python():
    """A Python like ours that an ordinary user can run, in case ours lies in root's home."""
    for name in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        if Path(name).exists() and everybody_can_run(Path(name)):
            return name
    return pytest.skip(f"an ordinary user cannot run {sys.executable}")


@as_root
@majors
def test_root_without_user_namespaces_runs_postgres_as_another_user(open_folder, nobody, monkeypatch, binaries):
    for module in (postgres, cluster):
        monkeypatch.setattr(module, "unprivileged_identity", lambda: nobody)
    with PostgresServer.start(open_folder / "pg", binaries=binaries, durable=False) as server:
        assert Path(f"/proc/{server.process.pid}").stat().st_uid == int(nobody.split(":")[0])
        assert (open_folder / "pg" / "data").stat().st_uid == int(nobody.split(":")[0])


@as_root
def test_an_ordinary_user_starts_both_servers_and_they_die_with_it(open_folder, nobody, everybody_s_python):
    shutil.chown(open_folder, *map(int, nobody.split(":")))
    log_path = open_folder / "log"
    parent = start_child(
        [everybody_s_python, "-c", STARTS_BOTH, open_folder, str(find_binaries().major)],
        log_path=log_path,
        environment={"PYTHONPATH": ":".join(filter(None, sys.path))},
        identity=nobody,
    )
    assert wait_until(lambda: "thread ended" in log_path.read_text()), log_path.read_text()
    alive = living_in(open_folder)
    stop_child(parent)

    assert len(alive) > 2
    assert {Path(f"/proc/{parent.pid}").exists()} == {False}
    assert wait_until(lambda: not living_in(open_folder)), living_in(open_folder)


@as_root
def test_root_never_runs_postgres_as_root_inside(tmp_path):
    assert unprivileged_identity() != "self"
    assert isinstance(find_binaries(), PostgresBinaries)
