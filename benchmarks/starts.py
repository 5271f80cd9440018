"""
Starts 16 workers' upgrades at once on an empty logs database, 10 times: all at head, each revision run once, no ERROR.

HEADHUNTER_BENCH_ROUNDS and HEADHUNTER_BENCH_PROCESSES set the numbers. Each process is new in every round and waits
for one word before it begins, so that all begin together; what is timed is the slowest of a round, from that word to
its answer, with the import of Alembic by whoever migrates. Server: PostgreSQL from the wheel, not durable.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from logs_db.environment import ENVIRONMENT
from servers.postgres import PostgresServer

ROUNDS = int(os.environ.get("HEADHUNTER_BENCH_ROUNDS", "10"))
PROCESSES = int(os.environ.get("HEADHUNTER_BENCH_PROCESSES", "16"))

_START = """
import json, sys
from logs_db.environment import ENVIRONMENT
from migrator.upgrade import upgrade_to_head
print("ready", flush=True)
url = sys.stdin.readline().strip()
result = upgrade_to_head(ENVIRONMENT, url)
print(json.dumps({"revision": result.after.revision, "seconds": result.seconds}))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, PostgresServer.start(Path(folder), durable=False) as server:
        at_head, slowest_seconds, once = 0, [], 0
        for number in range(ROUNDS):
            url = server.create_database(f"round_{number}")
            began = time.perf_counter()
            answers = _round(url)
            at_head += sum(answer["revision"] == ENVIRONMENT.head for answer in answers)
            slowest_seconds.append(max(float(str(answer["seconds"])) for answer in answers))
            once += _each_revision_once(url)
            print(f"  round {number + 1}: {time.perf_counter() - began:.1f} s with starting the processes", flush=True)
        log = (server.folder / "server.log").read_text(encoding="utf-8")
    errors = [line for line in log.splitlines() if any(word in line for word in ("ERROR", "FATAL", "PANIC"))]
    print(f"at head: {at_head} of {ROUNDS * PROCESSES}; rounds with each revision once: {once} of {ROUNDS}")
    median_seconds = sorted(slowest_seconds)[ROUNDS // 2]
    print(f"slowest start of a round: median {median_seconds:.2f} s, max {max(slowest_seconds):.2f} s")
    print(f"ERROR, FATAL or PANIC in PostgreSQL's log: {len(errors)}", *errors[:5], sep="\n  ")


def _round(url: str) -> list[dict[str, object]]:
    processes = [
        subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{url}\n")
        process.stdin.flush()
    written = [process.communicate()[0] for process in processes]
    return [json.loads(text) if text else {"revision": None, "seconds": 0.0} for text in written]


def _each_revision_once(url: str) -> bool:
    with psycopg.connect(url) as connection:
        moves = connection.execute("SELECT to_revision FROM migrator.history").fetchall()
    return sorted(revision for (revision,) in moves) == sorted(ENVIRONMENT.known_revisions)


if __name__ == "__main__":
    main()
