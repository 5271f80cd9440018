"""Rolling deploys and rollbacks of the worker: two versions of its code, real processes, events all the while."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

import logs_db
from log_events.event_queue import EventQueue
from log_events.wire import encode_frame
from logs_db.environment import ENVIRONMENT
from tests.fixtures.logs import system_event, wait_until

REVISION = '''"""Add a note to system logs: a revision of the next release."""
import sqlalchemy as sa
from alembic import op
revision = "ffff00000001"
down_revision = {head!r}
branch_labels = None
depends_on = None
compatible_with = {compatible_with!r}
def upgrade() -> None:
    op.add_column("system_logs", sa.Column("note", sa.Text), schema="public")
def downgrade() -> None:
    op.drop_column("system_logs", "note", schema="public")
'''
NEXT = "ffff00000001"
SECONDS_TO_DECIDE = 2.0


@pytest.fixture
def queue(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield EventQueue(client)


def next_release(folder: Path, compatible_with: str) -> dict[str, str]:
    """Make the next release in *folder*: this code with one more revision; return how a process gets to run it."""
    copy = folder / "next" / "logs_db"
    shutil.copytree(Path(logs_db.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    text = REVISION.format(head=ENVIRONMENT.head, compatible_with=compatible_with)
    (copy / "versions" / f"{NEXT}_add_a_note.py").write_text(text)
    (copy / "HEAD.txt").write_text(f"{NEXT}\n")
    # Of all packages only this one comes from the folder: neither from where the process starts nor where we are.
    return {"PYTHONPATH": str(copy.parent), "PYTHONSAFEPATH": "1"}


class Deployment:
    """Workers of both releases on one database and one queue, and events that arrive meanwhile."""

    def __init__(self, start_worker, queue, url, redis_url) -> None:
        self._start_worker = start_worker
        self._queue = queue
        self._url = url
        self._environment = {"LOGS_DATABASE_URL": url, "REDIS_URL": redis_url}
        self.sent = 0

    def start(self, release: dict[str, str], **more: str):
        return self._start_worker(**self._environment, **release, **more)

    def running(self, worker) -> bool:
        return any(
            seen.report.pid == worker.pid and seen.report.state == "running" for seen in self._queue.heartbeats()
        )

    def send(self, frames: int = 5) -> None:
        for _ in range(frames):
            self._queue.admit(encode_frame([system_event() for _ in range(20)]), 20)
        self.sent += 20 * frames

    def deliver(self) -> None:
        """Send some events and wait until they are written."""
        self.send()
        wait_until(lambda: self._queue.depth().events == 0)

    def command(self, release: dict[str, str], name: str, *arguments: str, **more: str):
        return subprocess.run(
            [sys.executable, "-m", "headhunter", "db", name, "logs", *arguments],
            env={"PATH": os.environ["PATH"]} | self._environment | release | more,
            check=False,
            capture_output=True,
            text=True,
        )

    def revision(self) -> str:
        return self.ask("SELECT version_num FROM logs_alembic_version")

    def ask(self, query: str):
        with psycopg.connect(self._url) as connection:
            return connection.execute(query).fetchone()[0]


@pytest.fixture
def deployment(start_worker, queue, logs_database_url, redis_url):
    return Deployment(start_worker, queue, logs_database_url, redis_url)


THIS: dict[str, str] = {}


def stop(worker) -> None:
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0


def test_a_release_that_older_code_can_live_with_is_rolled_out_and_back_without_a_pause(deployment, tmp_path):
    newer = next_release(tmp_path, compatible_with=ENVIRONMENT.head)
    old = deployment.start(THIS)
    wait_until(lambda: deployment.running(old))
    deployment.deliver()

    new = deployment.start(newer)
    wait_until(lambda: deployment.running(new))
    assert deployment.revision() == NEXT
    deployment.deliver()
    assert old.poll() is None, "the older worker goes on working beside the newer one"
    stop(old)
    deployment.deliver()

    # Back again: the older code runs on the newer schema, and the newer code takes its revision back when it suits.
    back = deployment.start(THIS)
    wait_until(lambda: deployment.running(back))
    stop(new)
    deployment.deliver()
    undone = deployment.command(newer, "downgrade", ENVIRONMENT.head)
    assert undone.returncode == 0, undone.stderr
    assert deployment.revision() == ENVIRONMENT.head
    deployment.deliver()
    assert back.poll() is None
    stop(back)
    assert deployment.ask("SELECT count(DISTINCT id) FROM system_logs") == deployment.sent
    assert deployment.ask("SELECT count(*) FROM dead_letters") == 0


def test_a_release_that_shuts_older_code_out_waits_for_its_workers_to_end(deployment, tmp_path):
    newer = next_release(tmp_path, compatible_with=NEXT)
    old = deployment.start(THIS)
    wait_until(lambda: deployment.running(old))

    refused = deployment.start(newer, LOGS_MIGRATION_PEER_SECONDS="0.3")
    assert refused.wait(20) == 75
    assert f"programs of revision {ENVIRONMENT.head} still run" in refused.log.read_text()
    new = deployment.start(newer)
    wait_until(lambda: "older_code_awaited" in new.log.read_text())
    deployment.deliver()
    assert deployment.revision() == ENVIRONMENT.head, "nothing is run while the older worker is at work"

    assert deployment.command(newer, "upgrade", LOGS_MIGRATION_PEER_SECONDS="0.3").returncode == 75

    stop(old)
    wait_until(lambda: deployment.running(new))
    assert deployment.revision() == NEXT
    deployment.deliver()
    assert deployment.ask("SELECT count(DISTINCT id) FROM system_logs") == deployment.sent

    began = time.monotonic()
    late = deployment.start(THIS, LOGS_MIGRATION_DELAY_SECONDS="30")
    assert late.wait(20) == 70
    log = late.log.read_text()
    assert f"at revision {NEXT}, which this code does not know, and needs code of revision {NEXT} or later" in log
    assert time.monotonic() - began < SECONDS_TO_DECIDE + imports_seconds()


def imports_seconds() -> float:
    """What the process needs before it can decide anything, on the machine as it is now."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import headhunter.__main__, worker.run, migrator.upgrade"], check=True)
    return time.monotonic() - began
