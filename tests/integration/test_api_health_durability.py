"""Durability: each weaker setting is named with what it can lose."""

import pytest
import redis

from api.health.dependencies import Dependencies
from api.health.durability import check_durability
from log_events.event_queue import EventQueue
from servers.postgres import PostgresServer
from servers.valkey import RedisServer
from tests.fixtures.api import Stores


@pytest.fixture(scope="module")
def durable_postgres(tmp_path_factory):
    with PostgresServer.start(tmp_path_factory.mktemp("postgres"), durable=True) as server:
        yield server.create_database("one"), server.create_database("two")


@pytest.fixture(scope="module")
def durable_redis(tmp_path_factory):
    with (
        RedisServer.start(tmp_path_factory.mktemp("redis"), durable=True) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        yield client, server.url


@pytest.fixture
def client(durable_redis):
    client, _ = durable_redis
    before = client.config_get("maxmemory", "maxmemory-policy", "appendfsync", "appendonly")
    yield client
    client.config_set(*[part for pair in before.items() for part in pair])


@pytest.fixture
def result(durable_postgres, client, durable_redis):
    settings = Stores(*durable_postgres, durable_redis[1]).settings()
    return lambda asking=client: check_durability(Dependencies(settings, EventQueue(asking)))


def test_servers_that_lose_nothing_pass(result):
    found = result()

    assert (found.status, found.value) == ("pass", 0), found.message


@pytest.mark.parametrize(
    ("settings", "status", "sentences"),
    [
        ({"appendfsync": "everysec"}, "warn", ["appendfsync is everysec", "the last 2 s", "appendfsync always"]),
        ({"appendfsync": "no"}, "warn", ["appendfsync is no", "the last 30 s"]),
        ({"appendonly": "no"}, "warn", ["its death loses every event not yet written", "CONFIG SET appendonly yes"]),
        ({"maxmemory-policy": "allkeys-lru"}, "warn", ["maxmemory-policy is allkeys-lru", "noeviction"]),
        ({"maxmemory-policy": "volatile-ttl", "maxmemory": "1gb"}, "warn", ["volatile-ttl", "spares keys"]),
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "1gb"}, "fail", ["evicts the queue"]),
    ],
)
def test_a_weaker_redis_is_named_with_what_it_can_lose(client, result, settings, status, sentences):
    client.config_set(*[part for pair in settings.items() for part in pair])

    found = result()

    assert (found.status, found.value) == (status, 1)
    assert all(sentence in found.message for sentence in sentences)


@pytest.mark.parametrize(
    ("refused", "unknown"),
    [(["-config"], ["appendfsync"]), (["-config", "-info"], ["maxmemory-policy", "appendonly", "appendfsync"])],
)
def test_what_a_redis_keeps_to_itself_is_unknown(client, result, durable_redis, refused, unknown):
    client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", *refused])
    with redis.Redis.from_url(durable_redis[1].replace("redis://:", "redis://narrow:")) as narrow:
        found = result(narrow)
    client.acl_deluser("narrow")

    assert (found.status, found.value) == ("warn", len(unknown))
    assert all(f"Redis: {name} is unknown" in found.message for name in unknown)


def test_a_weaker_postgres_is_named_with_what_it_can_lose(stores, client, durable_redis):
    settings = Stores(stores.logs, stores.main, durable_redis[1]).settings()

    found = check_durability(Dependencies(settings, EventQueue(client)))

    assert (found.status, found.value) == ("warn", 6)
    assert "logs database: fsync is off, so a machine's death can lose committed rows" in found.message
    assert "main database: full_page_writes is off" in found.message
    assert "set synchronous_commit = on" in found.message


def test_servers_that_are_away_are_unknown_and_the_others_are_told(durable_postgres):
    settings = Stores(durable_postgres[0], "postgresql://app@127.0.0.1:1/none", "redis://127.0.0.1:1").settings()
    with redis.Redis.from_url(settings.redis_url.get_secret_value(), retry=None) as client:
        found = check_durability(Dependencies(settings, EventQueue(client)))

    assert found.status == "warn"
    assert found.message == "Redis: unknown, for it does not answer. main database: unknown, for it does not answer."
