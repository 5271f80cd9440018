import asyncio
import re
import time

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import TooManyRequests
from pydantic import SecretStr

from api import log_reader
from api.bounded_connection import ServerSilentError
from api.log_reader import LogReader
from logs_db.queries import PageQuery


def with_port(url, port):
    return re.sub(r":\d+/", f":{port}/", url)


def read(url, *statements, limit=500):
    """The rows of each statement, or what it raised, all over one pool."""

    async def run():
        reader = LogReader(SecretStr(url))
        await reader.open()
        answers = []
        for statement in statements:
            try:
                query = PageQuery(sql.Composed([sql.SQL(statement)]), {})
                answers.append((await reader.run(lambda session, query=query: session.page(query, limit))).rows)
            except psycopg.Error as exc:
                answers.append(exc)
        await reader.close()
        return answers

    return asyncio.run(run())


def test_a_read_is_read_only_in_utc_and_bounded(database_url):
    names = ("transaction_read_only", "TimeZone", "statement_timeout")
    columns = ", ".join(f"current_setting('{name}') AS \"{name}\"" for name in names)

    (rows,) = read(database_url, f"SELECT {columns}")

    assert rows == [{"transaction_read_only": "on", "TimeZone": "UTC", "statement_timeout": "5s"}]


def test_a_silent_server_is_given_up_and_the_next_read_gets_another_connection(database_url, monkeypatch):
    monkeypatch.setattr(log_reader, "READ_SECONDS", 0.3)
    began = time.monotonic()

    silent, rows = read(database_url, "SELECT pg_sleep(3)", "SELECT 1 AS one")

    assert isinstance(silent, ServerSilentError)
    assert rows == [{"one": 1}]
    assert time.monotonic() - began < 2


def test_a_slow_query_is_ended_by_the_server(database_url, monkeypatch):
    monkeypatch.setattr(log_reader, "_BEGIN", log_reader._BEGIN.replace("5000", "100"))

    cancelled, rows = read(database_url, "SELECT pg_sleep(3)", "SELECT 1 AS one")

    assert isinstance(cancelled, psycopg.errors.QueryCanceled)
    assert rows == [{"one": 1}]


def test_a_page_that_ends_early_leaves_its_connection_in_order(database_url):
    pages = read(database_url, *["SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) AS n"] * 3, limit=2)

    assert [[row["n"] for row in page] for page in pages] == [[1, 2]] * 3


def test_an_away_database_is_an_error_in_time(database_url, monkeypatch):
    monkeypatch.setattr(log_reader, "CONNECT_SECONDS", 0.3)
    began = time.monotonic()

    (away,) = read(with_port(database_url, 1), "SELECT 1")

    assert isinstance(away, psycopg.OperationalError)
    assert time.monotonic() - began < 1.3


def test_who_finds_every_connection_reading_is_told_to_come_again(database_url, monkeypatch):
    monkeypatch.setattr(log_reader, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(log_reader, "POOL_CONNECTIONS", 1)

    async def run():
        reader, is_reading, is_over = LogReader(SecretStr(database_url)), asyncio.Event(), asyncio.Event()

        async def hold(_):
            is_reading.set()
            await is_over.wait()

        await reader.open()
        held = asyncio.create_task(reader.run(hold))
        await is_reading.wait()
        with pytest.raises(TooManyRequests):
            await reader.run(hold)
        is_over.set()
        await held
        await reader.close()

    asyncio.run(run())
