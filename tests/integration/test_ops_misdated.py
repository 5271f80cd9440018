"""Rows dated beyond the bound of a conversion, and clients who are just correcting them."""

import threading
from datetime import UTC, datetime

import psycopg
import pytest

from migrator.ops import conversion_steps
from migrator.ops.conversion_state import read_state
from migrator.ops.conversion_steps import add_bound, move_misdated
from tests.fixtures.logs import wait_until
from tests.fixtures.orders import execute, fetch, plan, with_orders

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"


@pytest.fixture
def any_orders_url(any_database_url) -> str:
    return with_orders(any_database_url)


def test_a_row_that_a_client_is_just_correcting_stays_and_those_behind_it_are_moved(any_orders_url, monkeypatch):
    monkeypatch.setattr(conversion_steps, "BATCH_ROWS", 1)
    execute(
        any_orders_url,
        "INSERT INTO \"Shop\".\"Orders\" (placed_at, state) VALUES ('2999-01-01', 'done'), ('2999-01-02', 'open')",
    )
    moved = []
    with psycopg.connect(any_orders_url) as client, psycopg.connect(any_orders_url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        add_bound(connection, plan())
        bound = read_state(connection, plan()).bound
        client.execute('UPDATE "Shop"."Orders" SET placed_at = now() WHERE state = \'done\'')
        moving = threading.Thread(target=lambda: moved.append(move_misdated(connection, plan(), bound)))
        moving.start()
        wait_until(lambda: fetch(any_orders_url, WAITING) == (1,))
        client.commit()
        moving.join()

    kept = fetch(any_orders_url, 'SELECT count(*), max(placed_at) FROM "Shop"."Orders" WHERE state = \'done\'')
    assert moved == [1]
    assert kept[0] == 1
    assert kept[1] <= datetime.now(UTC)
