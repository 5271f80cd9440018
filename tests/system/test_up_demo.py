"""`headhunter up --demo` sends real events, and its account of them closes."""

import os
import re
import signal

import psycopg
import pytest

from servers.ports import free_port
from servers.postgres import PostgresServer
from tests.fixtures.stacks import RunningStack, processes_of, wait_until

DISTINCT = "SELECT DISTINCT component, service FROM system_logs"
LOGGERS = {
    ("postgresql.client backend", "postgresql"),
    ("sqlalchemy.engine.Engine", "headhunter demo"),
    ("alembic.runtime.migration", "headhunter worker"),
    ("sqlalchemy.engine.Engine", "headhunter db"),
    ("uvicorn.error", "headhunter api"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo that has run: its stack, its exit code, and by component and service what became system logs."""
    stack = RunningStack(tmp_path_factory.mktemp("demo"), "--demo", "--speed", "200")
    urls = stack.wait_ready()
    with psycopg.connect(urls["LOGS_DATABASE_URL"], autocommit=True) as connection:
        assert wait_until(lambda: connection.execute("SELECT count(*) > 500 FROM llm_logs").fetchone()[0], 30)
        calls = connection.execute(
            "SELECT prompt_tokens, completion_tokens, provider, status FROM llm_logs ORDER BY created_at LIMIT 2"
        ).fetchall()
        wait_until(lambda: set(connection.execute(DISTINCT)) >= LOGGERS, 30)
        distinct = connection.execute(DISTINCT).fetchall()
    return stack, stack.stop(), calls, distinct


def test_what_was_sent_arrived_exactly(demo):
    stack, exit_code, _, _ = demo
    sent, arrived, queued = (
        int(number.replace(",", ""))
        for number in re.search(
            r"sent ([\d,]+) events = ([\d,]+) rows and dead letters \+ ([\d,]+) left", stack.output
        ).groups()
    )

    assert exit_code == 0, stack.output
    assert (sent, queued) == (arrived, 0)
    assert sent > 500
    assert re.search(r"from emit to visible: p50 \d+ ms, p99 \d+ ms", stack.output)
    assert "more were dropped" not in stack.output


def test_recorded_calls_become_llm_logs(demo):
    assert demo[2] == [(4808, 10, "azure", "success"), (3180, 8, "azure", "success")]


@pytest.mark.parametrize(("component", "service"), sorted(LOGGERS))
def test_what_the_programs_log_becomes_system_logs(demo, component, service):
    assert (component, service) in demo[3]


def test_a_worker_that_asks_for_it_is_started_again_and_one_that_dies_ends_the_stack(start_stack, tmp_path):
    port = free_port()
    with PostgresServer.start(tmp_path / "late", port=port, durable=False) as server:
        logs_url = server.create_database("logs")
    stack = start_stack(LOGS_DATABASE_URL=logs_url, LOGS_MIGRATION_ATTEMPTS="1")
    assert wait_until(lambda: "asked to be started again" in stack.output, 30), stack.output
    with PostgresServer.start(tmp_path / "late", port=port, durable=False):
        stack.wait_ready()
        os.kill(stack.process_id("headhunter worker"), signal.SIGKILL)

        assert stack.process.wait(timeout=30) == 75
    assert "`headhunter worker` ended by signal 9" in stack.output
    assert not processes_of(stack.folder)
    assert not (stack.state / "stack.env").exists()
