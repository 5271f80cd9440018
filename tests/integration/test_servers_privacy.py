"""Nobody gets into our servers without the password, and the password is nowhere to be read."""

import json
import os
import stat
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from servers.postgres import PostgresServer
from servers.valkey import RedisServer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def synced():
    """What was put on disk while the lasting server was made: each path, and of a folder the names in it by then."""
    return []


@pytest.fixture(scope="module")
def lasting_postgres(folder, synced):
    fsync = os.fsync

    def noted(descriptor):
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path, {entry.name for entry in path.iterdir()} if path.is_dir() else set()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", noted)
        server = PostgresServer.start(folder / "postgres", settings={"log_statement": "all"})
    with server:
        yield server


@pytest.fixture(scope="module")
def lasting_redis(folder):
    with RedisServer.start(folder / "redis", maxmemory_bytes=50_000_000) as server:
        yield server


def passwords(server) -> list[str]:
    return list(json.loads((server.folder / "passwords.json").read_text()).values())


def listening_addresses(pid: int) -> set[str]:
    """Return the local addresses (hexadecimal) on which process *pid* listens."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[9] in inodes and row[3] == "0A"}


def test_each_server_has_passwords_of_its_own(lasting_postgres, lasting_redis):
    everything = passwords(lasting_postgres) + passwords(lasting_redis)

    assert len(set(everything)) == 3
    assert min(map(len, everything)) >= 32


def test_passwords_stand_in_private_files_only(lasting_postgres, lasting_redis):
    lasting_postgres.create_database("logged")
    for server in (lasting_postgres, lasting_redis):
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        for path in server.folder.rglob("*"):
            if path.is_file() and any(password.encode() in path.read_bytes() for password in passwords(server)):
                assert path.name in {"passwords.json", "server.conf"}
                assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_passwords_are_on_no_command_line_and_in_no_repr(lasting_postgres, lasting_redis):
    for server in (lasting_postgres, lasting_redis):
        shown = repr(server) + Path(f"/proc/{server.process.pid}/cmdline").read_text()
        shown += Path(f"/proc/{server.process.pid}/environ").read_text()
        assert not [password for password in passwords(server) if password in shown]


def test_both_listen_on_the_loopback_interface_only(lasting_postgres, lasting_redis):
    assert listening_addresses(lasting_postgres.process.pid) == {"0100007F"}
    assert listening_addresses(lasting_redis.process.pid) == {"0100007F"}


@pytest.mark.parametrize("role", ["postgres", "headhunter"])
def test_postgres_asks_for_a_scram_password(lasting_postgres, role):
    url = lasting_postgres.url("postgres", role=role)
    wrong = url.replace(url.split(":")[2].split("@")[0], "wrong")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    with psycopg.connect(lasting_postgres.superuser_url) as connection:
        verifiers = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL").fetchall()
        methods = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
    assert all(verifier.startswith("SCRAM-SHA-256$") for (verifier,) in verifiers)
    assert methods == [("scram-sha-256",)]


def test_redis_asks_for_a_password(lasting_redis):
    with (
        redis.Redis(host="127.0.0.1", port=lasting_redis.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_the_application_s_role_may_create_in_its_own_database_only(lasting_postgres):
    with psycopg.connect(lasting_postgres.create_database("own"), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int)")
        connection.execute("CREATE SCHEMA s")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE DATABASE another")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE ROLE another")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")


def test_lasting_servers_are_fully_durable(lasting_postgres, lasting_redis):
    with psycopg.connect(lasting_postgres.url("postgres")) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("fsync", "synchronous_commit", "full_page_writes", "max_locks_per_transaction", "timezone")
        }
    with redis.Redis.from_url(lasting_redis.url, decode_responses=True) as client:
        kept = client.config_get("append*", "maxmemory*")

    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_locks_per_transaction": "512",
        "timezone": "UTC",
    }
    assert (kept["appendonly"], kept["appendfsync"]) == ("yes", "always")
    assert (kept["maxmemory"], kept["maxmemory-policy"]) == ("50000000", "noeviction")


def test_the_names_of_what_a_lasting_server_keeps_are_put_on_disk_too(lasting_postgres, synced):
    named = [names for path, names in synced if path == lasting_postgres.folder]

    assert [name for name in ("passwords.json", "data") if not any(name in names for names in named)] == []


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_settings_cannot_take_durability_away(tmp_path, setting):
    with pytest.raises(ValueError, match=setting):
        PostgresServer.start(tmp_path, settings={setting: "off"})


def test_text_sorts_by_code_point_in_utf8(any_database_url):
    with psycopg.connect(any_database_url) as connection:
        encoding = connection.execute("SHOW server_encoding").fetchone()
        rows = connection.execute("SELECT x FROM unnest(ARRAY['b', 'Z', 'ä', 'a']) AS x ORDER BY x").fetchall()
        upper = connection.execute("SELECT upper('ä')").fetchone()

    assert encoding == ("UTF8",)
    assert [row[0] for row in rows] == ["Z", "a", "b", "ä"]
    assert upper == ("Ä",)
