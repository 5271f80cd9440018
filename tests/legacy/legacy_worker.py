"""
What the worker before this product did to the logs database: create_tables() at every start, then plain INSERTs.

Run it as a process of its own: python legacy_worker.py URL SECONDS [NAME].  It prints a line once it writes, and at its
end, after SECONDS or SIGTERM, one line of JSON with what it has seen; its rows' component is NAME.
"""

import json
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg

SCHEMA = (Path(__file__).parent / "create_tables.sql").read_text(encoding="utf-8")
IDEMPOTENT_SCHEMA = re.sub(r"CREATE TABLE (?!IF)", "CREATE TABLE IF NOT EXISTS ", SCHEMA)
INSERT_SYSTEM = "INSERT INTO system_logs (level, component, message, error_type) VALUES (%s, %s, %s, %s)"
INSERT_LLM = (
    "INSERT INTO llm_logs (provider, model, prompt, response, status, cost_usd) VALUES (%s, %s, %s, %s, %s, %s)"
)

KEPT_ERRORS = 5


@dataclass
class Seen:
    """What one legacy client met: rows accepted, errors and the first of them, its longest INSERT."""

    accepted: int = 0
    longest_ms: float = 0.0
    longest_at: float = 0.0
    error_count: int = 0
    errors: list[str] = field(default_factory=list)


def create_tables(url: str, attempts: int = 5, delay_seconds: float = 2) -> None:
    """Create what is missing, as the legacy worker did at every start."""
    for attempt in range(attempts):
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(IDEMPOTENT_SCHEMA)
        except psycopg.OperationalError:
            if attempt == attempts - 1:
                raise
            time.sleep(delay_seconds)
        else:
            return


def write(url: str, seconds: float, name: str = "legacy") -> Seen:
    """Insert one event after another, each committed, without id and created_at."""
    seen, is_over, said = Seen(), False, False

    def stop(*_: object) -> None:
        nonlocal is_over
        is_over = True

    signal.signal(signal.SIGTERM, stop)
    end = time.monotonic() + seconds
    with psycopg.connect(url, autocommit=True) as connection:
        while not is_over and time.monotonic() < end:
            number = seen.accepted
            _insert(connection, INSERT_SYSTEM, ("INFO", name, f"event {number}", None), seen)
            _insert(connection, INSERT_LLM, ("openai", name, "p", "r", "success", "0.000123"), seen)
            if not said:
                said = True
                print("writing", flush=True)
    return seen


def _insert(connection: psycopg.Connection, statement: str, values: tuple[str | None, ...], seen: Seen) -> None:
    begun = time.monotonic()
    try:
        connection.execute(statement, values)
    except psycopg.Error as error:
        seen.error_count += 1
        seen.errors = [*seen.errors, f"{error.sqlstate}: {error}"][:KEPT_ERRORS]
        return
    took_ms = (time.monotonic() - begun) * 1000
    seen.accepted += 1
    if took_ms > seen.longest_ms:
        seen.longest_ms, seen.longest_at = took_ms, time.time()


if __name__ == "__main__":
    create_tables(sys.argv[1])
    print(json.dumps(asdict(write(sys.argv[1], float(sys.argv[2]), *sys.argv[3:4]))))
