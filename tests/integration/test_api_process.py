"""The process: where it listens, how it stops, and what it says of its settings."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from urllib.error import HTTPError

import psycopg
import pytest

from tests.fixtures.api import ADMIN_TOKEN, HEALTH
from tests.fixtures.logs import wait_until

STARTED = re.compile(r"api_started .*url=(\S+)")


class ApiProcess:
    """`headhunter api` with the given environment; its lines are in `log`."""

    def __init__(self, folder, **environment):
        self.log = folder / "api.log"
        self._stream = self.log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headhunter", "api"],
            env={"PATH": os.environ["PATH"], "API_PORT": "0", **environment},
            stderr=self._stream,
            stdout=self._stream,
        )

    @property
    def url(self):
        wait_until(lambda: STARTED.search(self.log.read_text()) or self.process.poll() is not None)
        found = STARTED.search(self.log.read_text())
        assert found, self.log.read_text()
        return found[1]

    def get(self, path):
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}".encode()})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._stream.close()


@pytest.fixture
def environment(stores):
    return {
        "DATABASE_URL": stores.main,
        "LOGS_DATABASE_URL": stores.logs,
        "REDIS_URL": stores.redis,
        "ADMIN_TOKEN": ADMIN_TOKEN,
    }


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(**environment):
        started.append(ApiProcess(tmp_path, **environment))
        return started[-1]

    yield begin
    for api in started:
        api.end()


def test_it_takes_a_free_port_says_which_and_answers(start, environment):
    api = start(**environment)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", api.url)
    assert api.get("/livez") == (200, b'{"status":"pass"}')
    assert api.get("/readyz")[0] == 200
    status, body = api.get(HEALTH)
    assert status == 503
    assert json.loads(body)["checks"]["workers"]["status"] == "fail"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_with_0(start, environment, number):
    api = start(**environment)
    api.get("/readyz")

    api.process.send_signal(number)

    assert api.process.wait(10) == 0
    assert "api_stopped" in api.log.read_text()
    assert "Traceback" not in api.log.read_text()


def test_a_request_in_hand_is_answered_before_it_stops(start, environment, stores, logs):
    api = start(**environment)
    answers = []
    with psycopg.connect(stores.logs) as connection:
        connection.execute("LOCK TABLE public.system_logs IN ACCESS EXCLUSIVE MODE")
        caller = threading.Thread(target=lambda: answers.append(api.get("/api/v1/admin/logs/system")))
        api.get("/livez")
        caller.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'headhunter-api' AND wait_event_type = 'Lock'"
        wait_until(lambda: logs.execute(waits).fetchone())

        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Shutting down" in api.log.read_text())
        assert api.process.poll() is None
    caller.join()

    assert answers[0][0] == 200
    assert api.process.wait(10) == 0


def test_it_starts_and_stops_though_nothing_that_it_needs_is_there(start):
    nowhere = "postgresql://app:s3cret@127.0.0.1:1/"
    api = start(
        DATABASE_URL=nowhere + "a",
        LOGS_DATABASE_URL=nowhere + "b",
        REDIS_URL="redis://:s3cret@127.0.0.1:1/0",
        ADMIN_TOKEN=ADMIN_TOKEN,
    )

    assert api.get("/livez")[0] == 200
    assert api.get("/readyz")[0] == 503
    assert api.get(HEALTH)[0] == 503
    assert api.get("/api/v1/admin/logs/system")[0] == 503
    api.process.send_signal(signal.SIGTERM)
    assert api.process.wait(10) == 0
    assert "s3cret" not in api.log.read_text()


def test_a_port_that_is_taken_is_told_and_temporary(start, environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        api = start(**environment, API_PORT=str(taken.getsockname()[1]))

        assert api.process.wait(10) == 75
    assert "api_refused_address" in api.log.read_text()
    assert "another API_HOST or API_PORT" in api.log.read_text()


def test_an_address_that_is_not_ours_is_a_wrong_setting(start, environment):
    api = start(**environment, API_HOST="192.0.2.1")

    assert api.process.wait(10) == 2
    assert "api_refused_address" in api.log.read_text()


def test_wrong_settings_are_all_told_in_one_message_and_end_with_2(start):
    api = start(
        DATABASE_URL="postgresql://a:s3cret@h/x", LOGS_DATABASE_URL="postgresql://b:s3cret@h/x", API_PORT="s3cret"
    )

    assert api.process.wait(10) == 2
    message = api.log.read_text()
    assert "LOGS_DATABASE_URL names the same database as DATABASE_URL" in message
    assert "REDIS_URL is not set" in message
    assert "API_PORT" in message
    assert "s3cret" not in message
    assert "Traceback" not in message
