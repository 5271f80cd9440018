"""
Converts 2 million legacy rows under two legacy clients: longest stall, errors, rows lost; then killed at 20 points.

Server fully durable.  HEADHUNTER_BENCH_ROWS sets the rows of system_logs (llm_logs has a quarter of it),
HEADHUNTER_BENCH_POSTGRES the major version, HEADHUNTER_BENCH_KILLS the points.  A stall is the longest INSERT of a
client that inserts one row after another, each committed: what the machine's disk and other processes do is in it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.ingest.postgres import start_without_checkpoints
from logs_db.environment import ENVIRONMENT
from servers.postgres import PostgresServer

ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "2000000"))
KILLS = int(os.environ.get("HEADHUNTER_BENCH_KILLS", "20"))
MAJOR = int(os.environ["HEADHUNTER_BENCH_POSTGRES"]) if "HEADHUNTER_BENCH_POSTGRES" in os.environ else None
CLIENTS = 2
WAIT_SECONDS = 120.0
# After how many steps of the two tables, and how many seconds later: amid the first index, then around each step.
POINTS = [(0, delay) for delay in (0.0, 0.3, 0.6, 0.9)] + [
    (step, delay) for step in range(1, 9) for delay in (0.0, 0.03)
]
LOCKED = "locked"
ROOT = Path(__file__).parents[1]
LEGACY = ROOT / "tests" / "legacy"

# Imports come first: what is killed is the conversion, not Python's start.
UPGRADE = """
import logging, sys
from alembic import command
from logs_db.environment import ENVIRONMENT
from migrator import ops, upgrade, start_up
class Steps(logging.Handler):
    def emit(self, record):
        event = getattr(record, "event", "")
        if event == "conversion_step_done":
            print(record.step, flush=True)
        if event == "table_locked":
            print("locked", record.locked_ms, flush=True)
logging.getLogger("migrator").addHandler(Steps())
logging.getLogger("migrator").setLevel(logging.INFO)
print("begun", flush=True)
upgrade.upgrade_to_head(ENVIRONMENT, sys.argv[1])
"""
FILL = f"""
INSERT INTO system_logs (created_at, level, component, message, error_type)
SELECT now() - random() * interval '300 days', (ARRAY['INFO', 'WARNING', 'ERROR'])[1 + n % 3], 'component ' || n % 50,
       repeat('m', 180) || n, CASE WHEN n % 20 = 0 THEN 'ValueError' END
FROM generate_series(1, {ROWS}) n;
INSERT INTO llm_logs (created_at, provider, model, prompt, response, status, cost_usd)
SELECT now() - random() * interval '300 days', 'openai', 'm' || n % 5, repeat('p', 200), repeat('r', 200), 'success', 1
FROM generate_series(1, {ROWS} / 4) n;
"""
COUNT = "SELECT (SELECT count(*) FROM system_logs) + (SELECT count(*) FROM llm_logs)"
STATE = """
SELECT c.relname, c.relkind::text, k.convalidated,
       (SELECT min(x.indisvalid::int) FROM pg_index x WHERE x.indexrelid = to_regclass('pk_' || c.relname || '_legacy'))
FROM pg_class c LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.conname = c.relname || '_legacy_bound'
WHERE c.oid IN ('system_logs'::regclass, 'llm_logs'::regclass) ORDER BY c.relname DESC
"""
BOUND = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'system_logs_legacy'"
LATE = """
ALTER TABLE system_logs DROP CONSTRAINT IF EXISTS system_logs_legacy_bound;
ALTER TABLE system_logs ADD CONSTRAINT system_logs_legacy_bound CHECK (created_at < now()::date::timestamptz) NOT VALID
"""


@dataclass(frozen=True)
class Outcome:
    """What clients and tables show after one conversion."""

    seconds: float
    accepted: int
    error_count: int
    errors: list[str]
    longest_ms: float
    lost: int
    is_at_head: bool
    found: str

    def __str__(self) -> str:
        return (
            f"{self.seconds:6.1f} s  longest INSERT {self.longest_ms:6.1f} ms  accepted {self.accepted:6}  "
            f"errors {self.error_count}  lost {self.lost}  {'' if self.is_at_head else 'NOT '}at head  {self.found}"
        )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-conversion-") as folder:
        server = start_without_checkpoints(Path(folder), MAJOR)
        with server:
            _fill(server)
            print(f"PostgreSQL {server.major}, {ROWS:,} system logs, {ROWS // 4:,} LLM logs, {CLIENTS} legacy clients")
            with _copy(server) as url:
                whole = _run(url)
                print("uninterrupted  ", whole, *whole.errors[:3], flush=True)
            with _copy(server) as url:
                print(
                    f"no conversion   longest INSERT {_control(url, whole.seconds + 2):6.1f} ms, the same load",
                    flush=True,
                )
            for steps, seconds in POINTS[:KILLS]:
                with _copy(server) as url:
                    outcome = _run(url, kill_at=(steps, seconds))
                    print(f"killed at {steps}+{seconds:4.2f}", outcome, *outcome.errors[:2], flush=True)
            with _copy(server) as url:
                # Between the bound's passing and the resumed run its clients are refused; the row shows how often.
                print("past its cutoff", *_held_past_its_cutoff(url), flush=True)


def _fill(server: PostgresServer) -> None:
    url = server.create_database("filled")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((LEGACY / "create_tables.sql").read_text(encoding="utf-8"))
        connection.execute(FILL)
        connection.execute("VACUUM ANALYZE")


@contextmanager
def _copy(server: PostgresServer) -> Iterator[str]:
    """A database of its own with the legacy rows."""
    url = server.url("copy")
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE copy TEMPLATE filled OWNER headhunter STRATEGY file_copy")
        connection.execute("CHECKPOINT")
    try:
        yield url
    finally:
        server.drop_database("copy")


def _run(url: str, *, kill_at: tuple[int, float] | None = None) -> Outcome:
    """Convert under legacy clients, killed once or not at all, until it is done."""
    before = _value(url, COUNT)
    clients = [_start_client(url, f"client {number}") for number in range(CLIENTS)]
    time.sleep(1)
    found = "" if kill_at is None else _killed(url, *kill_at)
    process, begun = _start_upgrade(url)
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    seconds = time.monotonic() - begun
    time.sleep(1)
    seen = [_stop_client(client) for client in clients]
    accepted = sum(each["accepted"] for each in seen)
    return Outcome(
        seconds=seconds,
        accepted=accepted,
        error_count=sum(each["error_count"] for each in seen),
        errors=[error for each in seen for error in each["errors"]],
        longest_ms=max(each["longest_ms"] for each in seen),
        lost=before + accepted - _value(url, COUNT),
        found=found
        or f"locked for at most {', '.join(line.split()[1] for line in said.splitlines() if LOCKED in line)} ms",
        is_at_head=process.returncode == 0
        and _value(url, "SELECT version_num FROM logs_alembic_version") == ENVIRONMENT.head,
    )


def _control(url: str, seconds: float) -> float:
    """Return the longest INSERT of as many clients in as many *seconds*, with nobody else at the database: in ms."""
    clients = [_start_client(url, f"client {number}") for number in range(CLIENTS)]
    time.sleep(seconds)
    return float(max(_stop_client(client)["longest_ms"] for client in clients))


def _killed(url: str, steps: int, delay_seconds: float) -> str:
    """Kill a conversion after that many *steps* and seconds, and tell what it left."""
    process, _ = _start_upgrade(url)
    while steps and process.stdout is not None and (line := process.stdout.readline()):
        steps -= LOCKED not in line
    time.sleep(delay_seconds)
    process.kill()
    process.communicate()
    return _state(url)


def _held_past_its_cutoff(url: str) -> tuple[object, ...]:
    """Kill it before the swap, let its bound pass, and resume: what clients meet meanwhile, and what it ends in."""
    with psycopg.connect(url) as reader:
        reader.execute("LOCK TABLE system_logs IN ACCESS SHARE MODE")
        process, _ = _start_upgrade(url)
        while _value(url, "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('pk_system_logs_legacy')") == 0:
            time.sleep(0.01)
        time.sleep(1)
        process.kill()
        process.wait()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(LATE)
    return _run(url), "| bound now", _value(url, BOUND)


def _start_upgrade(url: str) -> tuple[subprocess.Popen[str], float]:
    process = subprocess.Popen([sys.executable, "-c", UPGRADE, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if process.stdout is None or process.stdout.readline() != "begun\n":
        raise RuntimeError("The upgrade did not begin; see above.")
    return process, time.monotonic()


def _start_client(url: str, name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, LEGACY / "legacy_worker.py", url, str(WAIT_SECONDS * 2), name],
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdout is None or process.stdout.readline() != "writing\n":
        raise RuntimeError("A legacy client did not begin; see above.")
    return process


def _stop_client(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGTERM)
    seen: dict[str, Any] = json.loads(process.communicate(timeout=30)[0])
    return seen


def _state(url: str) -> str:
    """Name how far each table had come, from the catalog."""
    parts = []
    with psycopg.connect(url) as connection:
        for table, kind, is_validated, is_index_valid in connection.execute(STATE):
            done = {None: "nothing", 0: "index INVALID", 1: "index built"}[is_index_valid]
            if is_validated is not None:
                done = "bound validated" if is_validated else "bound added"
            parts.append(f"{table}: {'partitioned' if kind == 'p' else done}")
    return ", ".join(parts)


def _value(url: str, statement: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]


if __name__ == "__main__":
    main()
