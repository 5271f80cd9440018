"""
Takes a legacy logs database of 5 million rows to head under 4 inserting clients and a reader: longest stall <= 100 ms.

Afterwards 10 old workers call create_tables() on the converted tables again and again, beside the same clients: the
longest INSERT meanwhile. HEADHUNTER_BENCH_ROWS sets the rows (four fifths system logs, one fifth LLM logs),
HEADHUNTER_BENCH_POSTGRES the major version. Durable server; clients are legacy workers, each INSERT a transaction; the
reader asks for the last minute's errors and the newest rows, as a page of logs does. Before the upgrade everything
runs for some seconds alone, which shows the machine's own longest stall beside what the upgrade costs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.conversion import COUNT, LEGACY, MAJOR, ROOT, UPGRADE, _start_client, _stop_client, _value
from logs_db.environment import ENVIRONMENT
from servers.postgres import PostgresServer, find_binaries

ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "5000000"))
CLIENTS = 4
OLD_WORKERS = 10
ALONE_SECONDS = 5.0
OLD_WORKERS_SECONDS = 10.0

INDEXES = "DROP INDEX idx_system_logs_level_created, idx_system_logs_component_created, idx_system_logs_errors"
FILL = f"""
INSERT INTO system_logs (created_at, level, component, message, error_type)
SELECT now() - random() * interval '300 days', (ARRAY['INFO', 'WARNING', 'ERROR'])[1 + n % 3], 'component ' || n % 50,
       repeat('m', 180) || n, CASE WHEN n % 20 = 0 THEN 'ValueError' END
FROM generate_series(1, {ROWS * 4 // 5}) n;
INSERT INTO llm_logs (created_at, provider, model, prompt, response, status, cost_usd)
SELECT now() - random() * interval '300 days', 'openai', 'm' || n % 5, repeat('p', 200), repeat('r', 200), 'success', 1
FROM generate_series(1, {ROWS // 5}) n;
"""
READER = """
import json, signal, sys, time
import psycopg
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
seen = {"reads": 0, "longest_ms": 0.0, "errors": []}
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    print("reading", flush=True)
    while not stop:
        for query in (
            "SELECT count(*) FROM system_logs "
            "WHERE error_type IS NOT NULL AND created_at > now() - interval '1 minute'",
            "SELECT id FROM system_logs WHERE level = 'ERROR' AND created_at > now() - interval '1 day' "
            "ORDER BY created_at DESC LIMIT 50",
        ):
            begun = time.monotonic()
            try:
                connection.execute(query).fetchall()
            except psycopg.Error as error:
                seen["errors"].append(str(error))
            seen["reads"] += 1
            seen["longest_ms"] = max(seen["longest_ms"], (time.monotonic() - begun) * 1000)
        time.sleep(0.01)
print(json.dumps(seen))
"""
OLD_WORKER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from legacy_worker import create_tables
calls, errors, end = 0, 0, time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    try:
        create_tables(sys.argv[2], attempts=1)
    except Exception:
        errors += 1
    calls += 1
print(json.dumps({"calls": calls, "errors": errors}))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-adoption-") as folder:
        server = PostgresServer.start(
            Path(folder), binaries=find_binaries(MAJOR), settings={"max_wal_size": "8GB", "checkpoint_timeout": "1h"}
        )
        with server:
            url = _legacy_database(server)
            print(f"PostgreSQL {server.major}, {ROWS:,} rows, {CLIENTS} legacy clients and a reader", flush=True)
            _taken_to_head(url)
            _beside_old_workers(url)


def _legacy_database(server: PostgresServer) -> str:
    url = server.create_database("legacy")
    text = (LEGACY / "create_tables.sql").read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())
        connection.execute(INDEXES)
        connection.execute(FILL.encode())
        connection.execute(text.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ").encode())
        connection.execute("VACUUM ANALYZE")
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return url


def _taken_to_head(url: str) -> None:
    alone = _run(url, lambda: time.sleep(ALONE_SECONDS))
    _tell("before, nothing else running", alone)

    def upgrade() -> None:
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", UPGRADE, url], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        print(f"taken to head in {time.monotonic() - begun:.1f} s, with the start of the process")
        time.sleep(1)

    _tell("meanwhile", _run(url, upgrade))
    found = _value(url, "SELECT version_num FROM logs_alembic_version")
    print(f"at {'head' if found == ENVIRONMENT.head else found}", flush=True)


def _beside_old_workers(url: str) -> None:
    answers: list[dict[str, int]] = []

    def call() -> None:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", OLD_WORKER, str(LEGACY), url, str(OLD_WORKERS_SECONDS)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(OLD_WORKERS)
        ]
        answers.extend(json.loads(process.communicate()[0]) for process in processes)

    seen = _run(url, call)
    calls, errors = sum(answer["calls"] for answer in answers), sum(answer["errors"] for answer in answers)
    _tell(f"{OLD_WORKERS} old workers called create_tables() {calls} times ({errors} errors)", seen)


def _run(url: str, work: Any) -> dict[str, Any]:
    """Let clients and the reader run beside *work*; return what they met, and how many rows are missing."""
    before = _value(url, COUNT)
    clients = [_start_client(url, f"client {number}") for number in range(CLIENTS)]
    reader = subprocess.Popen([sys.executable, "-c", READER, url], stdout=subprocess.PIPE, text=True)
    if reader.stdout is None or reader.stdout.readline() != "reading\n":
        raise RuntimeError("The reader did not begin; see above.")
    work()
    seen = [_stop_client(client) for client in clients]
    reader.terminate()
    read = json.loads(reader.communicate(timeout=30)[0])
    accepted = sum(each["accepted"] for each in seen)
    return {
        "longest_ms": max(each["longest_ms"] for each in seen),
        "accepted": accepted,
        "errors": [error for each in seen for error in each["errors"]],
        "error_count": sum(each["error_count"] for each in seen),
        "lost": before + accepted - _value(url, COUNT),
        "read": read,
    }


def _tell(title: str, seen: dict[str, Any]) -> None:
    read = seen["read"]
    print(
        f"{title}: longest INSERT {seen['longest_ms']:.1f} ms, accepted {seen['accepted']:,}, errors "
        f"{seen['error_count']}, rows lost {seen['lost']}; longest read {read['longest_ms']:.1f} ms of "
        f"{read['reads']:,}, errors {len(read['errors'])}",
        *[*seen["errors"], *read["errors"]][:3],
        sep="\n  ",
        flush=True,
    )


if __name__ == "__main__":
    main()
