"""The logs database for tests: an empty one for the chain, and one as the legacy worker left it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from sqlalchemy import Engine, NullPool, create_engine

from logs_db.environment import ENVIRONMENT
from migrator import configuration
from migrator.urls import engine_url
from tests.legacy.legacy_worker import SCHEMA

LEGACY_WORKER = Path(__file__).parents[1] / "legacy" / "legacy_worker.py"
ROWS = """
INSERT INTO system_logs (created_at, level, component, message, error_type)
SELECT now() - n * interval '1 minute', 'INFO', 'c' || mod(n, 7), 'm' || n, CASE WHEN mod(n, 10) = 0 THEN 'E' END
FROM generate_series(1, %(rows)s) AS n;
"""
LLM_ROWS = """
INSERT INTO llm_logs (created_at, provider, model, status, cost_usd)
SELECT now() - n * interval '1 minute', 'openai', 'm', 'success', 0.000123 FROM generate_series(1, %(rows)s) AS n;
"""


@pytest.fixture
def alembic_config() -> Config:
    return configuration.alembic_config(ENVIRONMENT, lose_data=True)


@pytest.fixture
def migration_server(any_postgres):
    return any_postgres


@pytest.fixture
def alembic_engine(any_database_url) -> Iterator[Engine]:
    engine = create_engine(engine_url(any_database_url), poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def legacy_url(any_database_url) -> str:
    """The URL of a database with the legacy worker's tables, empty."""
    with psycopg.connect(any_database_url) as connection:
        connection.execute(SCHEMA)
    return any_database_url


@pytest.fixture
def filled_legacy_url(legacy_url) -> str:
    """The same with 5,000 system logs and 500 LLM logs."""
    with psycopg.connect(legacy_url) as connection:
        connection.execute(ROWS, {"rows": 5000})
        connection.execute(LLM_ROWS, {"rows": 500})
    return legacy_url


class LegacyClient:
    """A process that inserts as the legacy worker did, until it is stopped."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, LEGACY_WORKER, url, "60", name], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "writing\n"

    def stop(self) -> dict:
        """What it has seen: rows accepted, errors, longest INSERT in ms."""
        self._process.send_signal(signal.SIGTERM)
        return json.loads(self._process.communicate(timeout=20)[0])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def legacy_client() -> Iterator[Callable[[str, str], LegacyClient]]:
    clients: list[LegacyClient] = []

    def start(url: str, name: str) -> LegacyClient:
        clients.append(LegacyClient(url, name))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()


@pytest.fixture
def start_upgrade() -> Iterator[Callable[..., subprocess.Popen]]:
    """A function that starts the plain alembic command on a logs database, to be killed or waited for."""
    processes: list[subprocess.Popen] = []

    def start(url: str, target: str = "head") -> subprocess.Popen:
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "alembic", "-c", ENVIRONMENT.folder / "alembic.ini", "upgrade", target],
                env={**os.environ, "LOGS_DATABASE_URL": url, "PYTHONWARNINGS": "error"},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
