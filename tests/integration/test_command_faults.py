"""How a command ends where a server refuses: 70 where trying again will not help, 75 where it may, never with 1."""

import sys

import psycopg
import pytest
import redis

from headhunter.__main__ import main
from headhunter.faults import explained


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs the command line in this process: its exit code, and what it says of errors."""

    def run(*arguments, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["headhunter", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


def test_a_database_without_our_tables_ends_a_command_with_70(run, database_url, redis_url):
    code, said = run("logs", "ledger", LOGS_DATABASE_URL=database_url, REDIS_URL=redis_url)

    assert (code, said.partition("\n")[0]) == (70, 'headhunter: relation "public.ledger_entries" does not exist')


def test_a_role_without_rights_ends_a_command_with_70(stranger_url, database_url):
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE owned ()")
    with psycopg.connect(stranger_url) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT FROM owned")

    assert explained(refused.value).exit_code == 70


@pytest.mark.parametrize("command", ["ledger", "search"])
def test_a_wrong_password_ends_a_command_with_70_and_is_not_shown(run, database_url, redis_url, command, monkeypatch):
    # Each reader waits for its pool, and these need not wait for seconds.
    monkeypatch.setattr("api.log_reader.CONNECT_SECONDS", 0.1)
    user, _, rest = database_url.partition("@")
    wrong = f"{user.rpartition(':')[0]}:hunter2@{rest}"

    code, said = run("logs", command, LOGS_DATABASE_URL=wrong, REDIS_URL=redis_url)

    assert (code, "password authentication failed" in said, "hunter2" in said) == (70, True, False)


def test_a_database_that_is_not_there_ends_a_command_with_70_and_a_server_with_75(run, database_url, redis_url):
    nowhere = database_url.rpartition("/")[0] + "/nowhere"

    assert run("logs", "ledger", LOGS_DATABASE_URL=nowhere, REDIS_URL=redis_url)[0] == 70
    assert run("logs", "ledger", LOGS_DATABASE_URL="postgresql://u@127.0.0.1:1/d")[0] == 75


def test_a_lock_that_others_hold_may_be_free_the_next_time(database_url):
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url) as waiter:
        holder.execute("CREATE TABLE held ()")
        holder.commit()
        holder.execute("LOCK TABLE held")
        with pytest.raises(psycopg.OperationalError) as refused:
            waiter.execute("LOCK TABLE held NOWAIT")

    assert explained(refused.value).exit_code == 75


def test_a_key_of_another_type_ends_a_command_with_70(run, logs_database_url, redis_url):
    with redis.Redis.from_url(redis_url) as client:
        client.set("{logs_queue}:accepted", "no hash")

    code, said = run("logs", "ledger", LOGS_DATABASE_URL=logs_database_url, REDIS_URL=redis_url)

    assert (code, "WRONGTYPE" in said) == (70, True)


def test_a_full_redis_may_have_room_the_next_time(redis_url):
    with redis.Redis.from_url(redis_url) as client, pytest.raises(redis.ResponseError) as refused:
        client.eval("return redis.error_reply('OOM command not allowed')", 0)

    assert explained(refused.value).exit_code == 75
