"""The worker's connections to Redis, by every kind of URL that the settings take."""

import subprocess

import pytest
import redis

from log_events.event_queue import EventQueue
from servers.valkey import find_server_binary
from tests.fixtures.logs import wait_until
from worker.receive import Receiver
from worker.redis_connection import connect_redis


@pytest.fixture
def socket_url(tmp_path_factory):
    """The URL of an empty Valkey that listens on a Unix socket alone."""
    folder = tmp_path_factory.mktemp("s")
    path = folder / "s"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with subprocess.Popen([find_server_binary(), *options], stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(path.exists)
            yield f"unix://{path}"
        finally:
            server.terminate()


def test_a_lane_reads_through_a_unix_socket(socket_url):
    with connect_redis(socket_url) as client:
        queue = EventQueue(client)
        queue.ensure_group()
        entry_id = queue.admit(b"frame", 1)

        assert [entry.id for entry in Receiver(queue, "this-host:1:1/0", "this-host").receive()] == [entry_id]


def test_a_server_that_is_away_is_told_at_once():
    with connect_redis("redis://127.0.0.1:1/0") as client, pytest.raises(redis.ConnectionError):
        client.ping()
