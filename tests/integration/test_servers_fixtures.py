"""The servers that all other tests stand on."""

import psycopg
import redis


def test_a_database_is_empty_and_its_role_is_no_superuser_but_may_create_tables(any_database_url):
    with psycopg.connect(any_database_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        role = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        connection.execute("CREATE TABLE mine (id int)")
        connection.execute("CREATE SCHEMA ours")

    assert tables == (0,)
    assert role == (False, False, False)


def test_databases_of_one_test_are_apart(new_database, postgres):
    assert new_database() != new_database(postgres)


def test_redis_is_empty_and_never_evicts(any_redis_url):
    with redis.Redis.from_url(any_redis_url, decode_responses=True) as client:
        assert client.dbsize() == 0
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("left", "behind")
