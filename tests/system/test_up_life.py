"""`headhunter up` from its start to its end, and to a sudden one."""

import http.client
import json
import stat
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from servers.ports import free_port
from tests.fixtures.stacks import RunningStack, processes_of, wait_until


def get(url, path, token=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def other_url(postgres):
    """The URL of a database that the shell of whoever starts the stack happens to name."""
    name = "somebody_else_s_logs"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def stack(folder, other_url):
    # A folder of the user's own, named like a room of ours, must not hide that room.
    (folder / "worker").mkdir()
    (folder / "worker" / "__init__.py").write_text("raise SystemExit('this is not the worker')")
    running = RunningStack(folder, environment={"LOGS_MIGRATION_DATABASE_URL": other_url})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def environment(stack):
    return stack.wait_ready()


def test_the_environment_of_a_ready_stack_is_written_for_its_owner_only(stack, environment):
    path = stack.state / "stack.env"

    assert list(environment) == ["REDIS_URL", "DATABASE_URL", "LOGS_DATABASE_URL", "API_URL", "ADMIN_TOKEN"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.state.stat().st_mode) == 0o700
    assert (stack.state / ".gitignore").read_text() == "*\n"


def test_api_and_both_databases_are_usable_when_it_says_ready(environment):
    assert get(environment["API_URL"], "/readyz")[0] == 200
    assert get(environment["API_URL"], "/api/v1/admin/health")[0] == 401
    status, body = get(environment["API_URL"], "/api/v1/admin/health", environment["ADMIN_TOKEN"])
    health = json.loads(body)

    assert status == 200, health
    assert health["checks"]["logs_schema"]["status"] == "pass"
    assert health["checks"]["main_schema"]["status"] == "pass"
    assert health["checks"]["durability"]["status"] == "pass"


def test_a_url_for_migrations_of_other_logs_is_left_alone(environment, other_url):
    with psycopg.connect(other_url) as other, psycopg.connect(environment["LOGS_DATABASE_URL"]) as own:
        versions = [one.execute("SELECT to_regclass('logs_alembic_version')").fetchone() for one in (other, own)]

    assert versions == [(None,), ("logs_alembic_version",)]


def test_an_event_of_a_foreign_program_becomes_a_row_and_is_told_of(stack, environment):
    event = {"type": "system_log", "level": "info", "component": "elsewhere", "message": "from a stranger"}
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.lpush("logs_queue", json.dumps(event))
    with psycopg.connect(environment["LOGS_DATABASE_URL"], autocommit=True) as connection:
        query = "SELECT count(*) FROM system_logs WHERE message = 'from a stranger'"
        assert wait_until(lambda: connection.execute(query).fetchone() == (1,))

    assert wait_until(lambda: "written 1 " in stack.output), stack.output
    assert "queue 0  lag 0.0 s" in stack.output


def test_it_prints_address_and_place_of_the_token_but_no_secret(stack, environment):
    assert f"API          {environment['API_URL']}" in stack.output
    assert str(stack.state / "stack.env") in stack.output
    assert environment["ADMIN_TOKEN"] not in stack.output
    for name in ("DATABASE_URL", "REDIS_URL"):
        password = urlsplit(environment[name]).password
        assert password not in stack.output
        assert not [pid for pid, command in processes_of(stack.folder).items() if password in command]
        for log in stack.state.glob("*.log"):
            assert password not in log.read_text()


def test_a_second_one_on_the_same_folder_says_who_runs_and_touches_nothing(stack, environment, folder):
    command = [sys.executable, "-m", "headhunter", "up", "--folder", str(stack.state)]
    second = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)

    assert second.returncode == 2
    assert f"in use by process {stack.process.pid}" in second.stderr
    assert get(environment["API_URL"], "/livez")[0] == 200
    assert (stack.state / "stack.env").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child that its parent died")
def test_everything_dies_with_it_and_the_next_one_finds_its_state(start_stack):
    first = start_stack()
    before = first.wait_ready()
    with psycopg.connect(before["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert len(processes_of(first.folder)) > 5
    first.process.kill()
    first.process.wait()
    assert wait_until(lambda: not processes_of(first.folder)), processes_of(first.folder)

    second = start_stack()
    after = second.wait_ready()
    with psycopg.connect(after["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    assert after["ADMIN_TOKEN"] == before["ADMIN_TOKEN"]
    assert urlsplit(after["DATABASE_URL"]).password == urlsplit(before["DATABASE_URL"]).password

    assert second.stop() == 0
    assert not processes_of(second.folder)
    assert not (second.state / "stack.env").exists()
    assert "Stopped; all data are kept" in second.output


def test_given_servers_are_used_and_none_is_started(start_stack, new_database, redis_url):
    given = {"DATABASE_URL": new_database(), "LOGS_DATABASE_URL": new_database(), "REDIS_URL": redis_url}
    stack = start_stack("--port", str(port := free_port()), ADMIN_TOKEN="my-own-token", **given)
    environment = stack.wait_ready()

    assert {name: environment[name] for name in given} == given
    assert environment["ADMIN_TOKEN"] == "my-own-token"
    assert environment["API_URL"] == f"http://127.0.0.1:{port}"
    assert not [command for command in processes_of(stack.folder).values() if "postgres" in command]
    assert {path.name for path in stack.state.iterdir() if path.is_dir()} == set()
    assert stack.stop() == 0


def test_faulty_urls_are_all_named_before_anything_is_started(start_stack):
    stack = start_stack(
        DATABASE_URL="postgresql://me:hidden@h/same",
        LOGS_DATABASE_URL="postgresql://me:hidden@h/same",
        REDIS_URL="http://x:hidden@h",
    )

    assert stack.process.wait(timeout=30) == 2
    assert "LOGS_DATABASE_URL" in stack.output
    assert "REDIS_URL" in stack.output
    assert "hidden" not in stack.output
    assert not stack.state.exists()


def test_a_port_that_is_taken_is_said(start_stack, redis_url):
    stack = start_stack("--port", str(urlsplit(redis_url).port))

    assert stack.process.wait(timeout=30) == 75
    assert "`headhunter api` ended with exit code 75" in stack.output
    assert not processes_of(stack.folder)
