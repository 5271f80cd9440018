"""
Kills a pass of retention at 50 random moments (SIGKILL), half of them with a reader open: each day must go once.

After each kill the two days that were due are looked at: every row is in its table still, or the whole table is gone.
Then passes follow until both are gone, each accounted for once; nothing may be left pending or detached, and a table of
somebody else stays.  HEADHUNTER_BENCH_KILLS sets the kills, HEADHUNTER_BENCH_SEED the moments,
HEADHUNTER_BENCH_POSTGRES the major version.  The server is a throw-away one: it is the client that dies.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.conversion import MAJOR, ROOT
from logs_db import retention
from logs_db.environment import ENVIRONMENT
from logs_db.partitions import list_partitions
from logs_db.retention_plan import Retention
from migrator.partitioning import Relation, add_day, read_storage
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer, find_binaries

KILLS = int(os.environ.get("HEADHUNTER_BENCH_KILLS", "50"))
SEED = int(os.environ.get("HEADHUNTER_BENCH_SEED", "6"))
ROWS = 2000
KEPT = Retention(system_logs=30)
WAIT_SECONDS = 60.0
PARENT = Relation("public", "system_logs")

# Imports come first: what is killed is the pass, not Python's start.
CLIENT = """
import sys
import psycopg
from logs_db import retention
from logs_db.retention_plan import Retention
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute("SELECT 1")
    print("begun", flush=True)
    retention.run(connection, Retention(system_logs=30))
"""
STATE = """
SELECT CASE WHEN c.oid IS NULL THEN 'gone' WHEN i.inhdetachpending THEN 'pending'
            WHEN c.relispartition THEN 'attached' ELSE 'detached' END
FROM (SELECT) AS one LEFT JOIN pg_class c ON c.oid = to_regclass(%s) LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
"""
MINE = "CREATE TABLE mine (LIKE system_logs INCLUDING ALL)"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-retention-") as folder:
        server = PostgresServer.start(Path(folder) / "postgres", binaries=find_binaries(MAJOR), durable=False)
        with server, psycopg.connect(server.create_database("logs"), autocommit=True) as connection:
            url = server.url("logs")
            upgrade_to_head(ENVIRONMENT, url)
            retention.first_look(connection)
            connection.execute(MINE)
            names = _fill(connection)
            whole = _seconds_of_a_pass(url)
            print(f"PostgreSQL {server.major}, an uninterrupted pass takes {whole:.2f} s, seed {SEED}", flush=True)
            chance, found, seconds = random.Random(SEED), Counter[str](), []
            for number in range(KILLS):
                names = _fill(connection)
                with ExitStack() as stack:
                    if number % 2:
                        reader = stack.enter_context(psycopg.connect(url))
                        reader.execute("SELECT count(*) FROM system_logs")
                    _kill(url, chance.uniform(0.0, whole * 1.2))
                    states = _states(connection, names)
                found["+".join(states)] += 1
                seconds.append(_converge(connection, names))
            print(f"states after the kills: {dict(found)}")
            print(
                f"converged {len(seconds)} of {KILLS}, in {statistics.median(seconds):.2f} s (median), "
                f"{max(seconds):.2f} s at most"
            )


def _fill(connection: psycopg.Connection[Any]) -> list[str]:
    """Attach two days that are past retention, with rows; their names."""
    connection.execute("TRUNCATE dropped_partitions")
    names = []
    for days in (32, 31):
        day = datetime.now(UTC).date() - timedelta(days=days)
        partition = PARENT.named(f"system_logs_{day:%Y_%m_%d}")
        newest = PARENT.named(list_partitions(connection, PARENT.name)[-1].name)
        add_day(connection, PARENT, partition, day, read_storage(connection, newest))
        connection.execute(
            "INSERT INTO system_logs (created_at, level, component, message) "
            "SELECT %s::date + n * interval '1 second', 'INFO', 'c', 'm' FROM generate_series(1, %s) AS n",
            (day, ROWS),
        )
        names.append(partition.name)
    return names


def _seconds_of_a_pass(url: str) -> float:
    process, begun = _start(url)
    process.wait(WAIT_SECONDS)
    return time.monotonic() - begun


def _kill(url: str, seconds: float) -> None:
    process, begun = _start(url)
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    process.kill()
    process.wait()


def _start(url: str) -> tuple[subprocess.Popen[str], float]:
    process = subprocess.Popen([sys.executable, "-c", CLIENT, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if process.stdout is None or process.stdout.readline() != "begun\n":
        raise RuntimeError("The pass did not begin; see above.")
    return process, time.monotonic()


def _states(connection: psycopg.Connection[Any], names: list[str]) -> list[str]:
    """In which state each table is; all of its rows are there, or it is accounted for."""
    states = []
    for name in names:
        # The dead client's last statement may still be at work, so a table may go between two looks.
        state = str(_one(connection, STATE, f"public.{name}"))
        if state != "gone":
            try:
                rows = _one(connection, f"SELECT count(*) FROM public.{name}")
                assert rows == ROWS, f"{name} has {rows} rows"
            except psycopg.errors.UndefinedTable:
                state = "gone"
        states.append(state)
    return states


def _converge(connection: psycopg.Connection[Any], names: list[str]) -> float:
    """Seconds until passes have dropped both days, each accounted for once, with nothing left over."""
    begun = time.monotonic()
    while _states(connection, names) != ["gone", "gone"]:
        retention.run(connection, KEPT)
        assert time.monotonic() < begun + WAIT_SECONDS, "it did not converge"
    for name in names:
        assert _one(connection, "SELECT count(*) FROM dropped_partitions WHERE partition_name = %s", name) == 1
    assert _one(connection, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == 0
    assert _one(connection, "SELECT to_regclass('public.mine') IS NOT NULL")
    return time.monotonic() - begun


def _one(connection: psycopg.Connection[Any], question: str, *parameters: object) -> object:
    row = connection.execute(question.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


if __name__ == "__main__":
    main()
