"""
Starts 16 upgrades at once, 20 times over: all at head, each revision run once; and what a dead lock holder costs.

Four histories: the logs chain; one with a concurrent index; one of transactional revisions through a real pgbouncer in
transaction mode (left out where none is installed), with a concurrent index refused there and run by the direct URL;
and one whose lock holder is killed, or loses its lock's connection, amid a revision. HEADHUNTER_BENCH_ROUNDS and
HEADHUNTER_BENCH_PROCESSES set the numbers. The processes live through all rounds and have imported what a start at
head needs; a round is timed from the word to begin to the last answer. Servers: PostgreSQL from the wheel, not durable.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg

from logs_db.environment import ENVIRONMENT
from migrator.environment import Environment
from migrator.errors import PermanentError
from migrator.lock import halves, lock_key
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresServer
from tests.fixtures.pgbouncer import PROGRAM, pgbouncer
from tests.fixtures.small_environment import SmallEnvironment, small_environment, starting_process

ROUNDS = int(os.environ.get("HEADHUNTER_BENCH_ROUNDS", "20"))
PROCESSES = int(os.environ.get("HEADHUNTER_BENCH_PROCESSES", "16"))
WAIT_SECONDS = 60.0

CONCURRENT = """
with op.get_context().autocommit_block():
    op.execute('CREATE INDEX CONCURRENTLY items_again ON items (id)')
"""
# The first to come stays in the revision until the file is there, as in one that takes long.
STUCK = """
op.execute('CREATE TABLE late (id int)')
if not (Path(__file__).parent.parent / 'patient').exists():
    time.sleep(60)
"""
WORK = """
op.execute("INSERT INTO runs (began) VALUES (clock_timestamp())")
time.sleep(1)
op.execute("UPDATE runs SET ended = clock_timestamp() WHERE pid = pg_backend_pid()")
"""
OVERLAPS = "SELECT count(*) FROM runs a, runs b WHERE a.pid < b.pid AND a.began < b.ended AND b.began < a.ended"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-starts-") as name:
        folder = Path(name)
        with PostgresServer.start(folder / "postgres", durable=False) as server:
            _rounds("the logs chain", ENVIRONMENT, server)
            transactional = _chain(folder, "transactional")
            indexed = _chain(folder, "indexed").add("r3", CONCURRENT)
            _rounds("a concurrent index in the history", indexed.environment, server)
            if PROGRAM is None:
                print("pgbouncer is not installed; left out")
            else:
                _through_pgbouncer(folder, transactional, server)
            log = (server.folder / "server.log").read_text(encoding="utf-8")
            errors = [line for line in log.splitlines() if "ERROR" in line or "PANIC" in line]
            print(f"ERROR or PANIC in PostgreSQL's log: {len(errors)}", *errors[:5], sep="\n  ")
            _killed(folder, server)
            _terminated(folder, server)


def _chain(folder: Path, name: str) -> SmallEnvironment:
    small = small_environment(folder, name, version_table=f"{name}_version", direct_url_variable="DIRECT_URL")
    small.add("r1", "op.execute('CREATE TABLE items (id int PRIMARY KEY)')")
    return small.add("r2", "op.execute('ALTER TABLE items ADD COLUMN more int')")


def _rounds(
    title: str, environment: Environment, server: PostgresServer, pooled: Callable[[str], str] = lambda url: url
) -> None:
    urls = [server.create_database(f"{environment.name}_{number}") for number in range(ROUNDS)]
    at_head, once, seconds = 0, 0, []
    with ExitStack() as stack:
        processes = [stack.enter_context(starting_process(environment)) for _ in range(PROCESSES)]
        for url in urls:
            began = time.monotonic()
            for process in processes:
                process.tell(pooled(url))
            at_head += sum(process.answer().get("revision") == environment.head for process in processes)
            seconds.append(time.monotonic() - began)
            moves = [str(revision) for (revision,) in _rows(url, "SELECT to_revision FROM migrator.history")]
            once += sorted(moves) == sorted(environment.known_revisions)
            # A pooler keeps its connections to each.
            server.drop_database(url.rpartition("/")[2])
    print(
        f"{title}: at head {at_head} of {ROUNDS * PROCESSES} starts; each revision once in {once} of {ROUNDS} rounds; "
        f"slowest start of a round: median {sorted(seconds)[ROUNDS // 2]:.2f} s, max {max(seconds):.2f} s",
        flush=True,
    )


def _through_pgbouncer(folder: Path, small: SmallEnvironment, server: PostgresServer) -> None:
    url = server.create_database("through_pgbouncer")
    with pgbouncer(folder / "pooler", url) as pooler:
        base = pooler.rpartition("/")[0]

        def pooled(direct: str) -> str:
            return f"{base}/{direct.rpartition('/')[2]}"

        _rounds("transactional revisions through pgbouncer", small.environment, server, pooled)
        small.add("r3", CONCURRENT)
        try:
            upgrade_to_head(small.environment, pooled(url))
            print("the concurrent index through pgbouncer: NOT refused")
        except PermanentError as error:
            print(f"the concurrent index through pgbouncer: refused, at {_revision(small, url)}: {error}")
        upgrade_to_head(small.environment, pooled(url), ddl_url=url)
        print(f"by the direct URL: at {_revision(small, url)}", flush=True)


def _killed(folder: Path, server: PostgresServer) -> None:
    """Kill the holder of the lock amid a revision; another process waits for the lock already."""
    seconds, orphans = [], 0
    for number in range(ROUNDS // 2):
        small = _chain(folder, f"killed_{number}").add("r3", STUCK, extra="from pathlib import Path")
        url = server.create_database(small.environment.name)
        with starting_process(small.environment) as holder, starting_process(small.environment, quiet=False) as heir:
            holder.tell(url)
            _await_query(url, "CREATE TABLE late")
            (small.folder / "patient").touch()
            heir.tell(url)
            heir.wait_for_event("peer_awaited")
            time.sleep(number * 0.3)  # the longer it has waited, the longer are its pauses
            holder.popen.kill()
            began = time.monotonic()
            if heir.answer().get("revision") != "r3":
                raise RuntimeError("the heir did not bring the database to head")
            seconds.append(time.monotonic() - began)
        orphans += _lock_holder(small, url) is not None
    print(
        f"kill -9 of the lock's holder amid a revision: taken over and at head {len(seconds)} of {ROUNDS // 2}; "
        f"orphan locks {orphans}; seconds: median {sorted(seconds)[len(seconds) // 2]:.2f}, max {max(seconds):.2f}",
        flush=True,
    )


def _terminated(folder: Path, server: PostgresServer) -> None:
    """End the connection that holds the lock while its owner runs a revision, in and outside a transaction."""
    overlaps, at_head = 0, 0
    for number in range(ROUNDS // 2):
        small = _chain(folder, f"ended_{number}")
        small.add(
            "r3",
            "op.execute('CREATE TABLE runs (pid int DEFAULT pg_backend_pid(), began timestamptz, ended timestamptz)')",
        )
        block = "with op.get_context().autocommit_block():" if number % 2 else "if True:"
        small.add("r4", block + WORK.replace("\n", "\n    "))
        url = server.create_database(small.environment.name)
        with starting_process(small.environment) as first, starting_process(small.environment) as second:
            first.tell(url)
            _await_query(url, "INSERT INTO runs")
            second.tell(url)
            time.sleep(0.2)
            _rows(url, f"SELECT pg_terminate_backend({_lock_holder(small, url)}, 5000)")
            at_head += [first.answer().get("revision"), second.answer().get("revision")] == ["r4", "r4"]
        overlaps += int(str(_rows(url, OVERLAPS)[0][0]))
    print(
        f"the lock's connection ended amid a revision: both at head {at_head} of {ROUNDS // 2}; "
        f"revisions that ran beside each other: {overlaps}"
    )


def _await_query(url: str, beginning: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not _rows(url, f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{beginning}%'"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nobody ran {beginning} within {WAIT_SECONDS:g} s.")
        time.sleep(0.01)


def _lock_holder(small: SmallEnvironment, url: str) -> int | None:
    key = halves(lock_key(small.environment.version_table))
    found = _rows(
        url,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        f"AND classid = {key['high']} AND objid = {key['low']}",
    )
    return int(str(found[0][0])) if found else None


def _revision(small: SmallEnvironment, url: str) -> object:
    return _rows(url, f"SELECT version_num FROM {small.environment.version_table}")[0][0]


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


if __name__ == "__main__":
    main()
