"""
Reads through a replica in trouble, paused or delayed or cancelling: answers staler than the bound 0, errors 0.

HEADHUNTER_BENCH_POSTGRES names major versions (all that are installed), HEADHUNTER_BENCH_SECONDS how long each trouble
lasts.  One writer commits the time of the machine's own clock, 50 times a second; 4 readers ask for the newest one as
often as they can, and every answer is held against what the writer knew to be committed: its age is the time since the
oldest commit that it lacks.  The bound is 2 s, so that a delay of 5 s is beyond it.  Told are when the last answer of
the replica came after the trouble began, when the first one came after its end, and how long the slowest answer took,
whoever gave it.
"""

import asyncio
import logging
import os
import signal
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from pydantic import SecretStr

from api.fresh_reader import FreshReader, Source
from api.log_reader import LogSession
from logs_db.queries import PageQuery
from servers.postgres import SUPERUSER, PostgresServer, all_binaries
from servers.replica import start_replica

MAJORS = [int(major) for major in os.environ.get("HEADHUNTER_BENCH_POSTGRES", "").split()]
SECONDS = float(os.environ.get("HEADHUNTER_BENCH_SECONDS", "8"))
BOUND_SECONDS = 2.0
WRITE_SECONDS = 0.02
READERS = 4
RETURN_SECONDS = 20.0
HANDOVER_SECONDS = 0.1
"""What an answer may take from where its age was told to where it is checked; all share one event loop."""


def _query(statement: LiteralString) -> PageQuery:
    return PageQuery(sql.Composed([sql.SQL(statement)]), {})


NEWEST = _query("SELECT max(at) AS at FROM public.ticks")
# Long enough that replay of a TRUNCATE finds somebody at it.
SLOWLY = _query("SELECT max(at) AS at FROM public.ticks, pg_sleep(0.2)")


@dataclass
class Seen:
    """One answer."""

    at: float
    source: Source
    age_seconds: float
    said_seconds: float
    took_seconds: float


@dataclass
class Load:
    """What was written when, and what readers saw."""

    written: list[float] = field(default_factory=list)
    known_at: list[float] = field(default_factory=list)
    answers: list[Seen] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    query: PageQuery = NEWEST
    _awaited: asyncio.Future[Seen] | None = None

    def tell(self, seen: Seen) -> None:
        """Keep *seen*, and hand it to who waits for it."""
        self.answers.append(seen)
        if self._awaited is not None:
            self._awaited.set_result(seen)
            self._awaited = None

    async def next_answer(self) -> Seen:
        """The next one that any reader gets."""
        self._awaited = asyncio.get_running_loop().create_future()
        return await self._awaited

    def age_of(self, newest: float, at: float) -> float:
        """How long ago at *at* what was committed next after *newest* had been."""
        following = bisect_right(self.written, newest)
        return max(0.0, at - self.known_at[following]) if following < len(self.written) else 0.0


@dataclass
class Servers:
    """The two, and a superuser's connection to each."""

    primary: PostgresServer
    replica: PostgresServer

    @contextmanager
    def superuser(self, server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
        """A connection to *server* that may do anything."""
        with psycopg.connect(server.url("logs", role=SUPERUSER), autocommit=True) as connection:
            yield connection

    @contextmanager
    def setting(self, name: LiteralString, value: str) -> Iterator[None]:
        """Let the replica run with another value of a setting."""
        self._reload(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        yield
        self._reload(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))

    def _reload(self, statement: sql.Composed) -> None:
        with self.superuser(self.replica) as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")


def main() -> None:
    for binaries in all_binaries():
        if MAJORS and binaries.major not in MAJORS:
            continue
        logging.disable(logging.WARNING)
        with tempfile.TemporaryDirectory(prefix="headhunter-replica-") as folder:
            settings = {"wal_retrieve_retry_interval": "1s"}
            with (
                PostgresServer.start(Path(folder) / "primary", binaries=binaries) as primary,
                start_replica(primary, Path(folder) / "replica", durable=True, settings=settings) as replica,
            ):
                url = primary.create_database("logs")
                with psycopg.connect(url) as connection:
                    connection.execute("CREATE TABLE public.ticks (at double precision)")
                print(f"PostgreSQL {primary.major}, bound {BOUND_SECONDS:g} s, each trouble {SECONDS:g} s", flush=True)
                asyncio.run(_measure(Servers(primary, replica)))


async def _measure(servers: Servers) -> None:
    load = Load()
    urls = SecretStr(servers.primary.url("logs")), SecretStr(servers.replica.url("logs"))
    async with FreshReader(*urls, BOUND_SECONDS) as reader:
        tasks = [asyncio.create_task(_write(load, servers.primary.url("logs")))]
        tasks += [asyncio.create_task(_read(load, reader)) for _ in range(READERS)]
        await _returned(load, time.monotonic())
        for name, trouble in (("well", _well), ("paused", _paused), ("delayed 5 s", _delayed), ("stopped", _stopped)):
            await _phase(name, load, trouble, servers)
        load.query = SLOWLY
        await _phase("cancelling", load, _cancelling, servers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(f"  in all {len(load.answers):,} answers, errors {len(load.errors)} {sorted(set(load.errors))}")
    stale = sum(seen.age_seconds > BOUND_SECONDS for seen in load.answers)
    denied = sum(seen.age_seconds > seen.said_seconds + HANDOVER_SECONDS for seen in load.answers)
    print(f"  staler than the bound {stale}, staler than they said {denied}", flush=True)


async def _phase(name: str, load: Load, trouble: Any, servers: Servers) -> None:
    began, first = time.monotonic(), len(load.answers)
    await trouble(servers)
    ended = time.monotonic()
    returned = await _returned(load, ended)
    seen = [one for one in load.answers[first:] if one.at >= began]
    of_replica = [one for one in seen if one.source is Source.REPLICA]
    during = [one.at for one in of_replica if one.at < ended]
    shares = f"{len(of_replica) / len(seen):4.0%} of {len(seen):6,} answers from the replica"
    ages = [one.age_seconds for one in seen]
    fell = max(during, default=began) - began
    print(
        f"  {name:12} {shares}; oldest {max(ages):5.2f} s, median {statistics.median(ages):5.3f} s; "
        f"left after {fell:5.2f} s, back {returned:5.2f} s after its end; "
        f"slowest {max(one.took_seconds for one in seen):5.2f} s",
        flush=True,
    )


async def _well(_: Servers) -> None:
    await asyncio.sleep(SECONDS)


async def _paused(servers: Servers) -> None:
    with servers.superuser(servers.replica) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        await asyncio.sleep(SECONDS)
        connection.execute("SELECT pg_wal_replay_resume()")


async def _delayed(servers: Servers) -> None:
    with servers.setting("recovery_min_apply_delay", "5s"):
        await asyncio.sleep(SECONDS)


async def _stopped(servers: Servers) -> None:
    """Every process of the replica stands still, as on a machine that hangs: connections stay, answers do not come."""
    stopped = _family(servers.replica.process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(SECONDS)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


async def _cancelling(servers: Servers) -> None:
    """Replay may not wait for any reader, and needs the table to itself four times a second."""
    with servers.setting("max_standby_streaming_delay", "0"):
        end = time.monotonic() + SECONDS
        async with await psycopg.AsyncConnection.connect(servers.primary.url("logs"), autocommit=True) as connection:
            while time.monotonic() < end:
                await connection.execute("BEGIN; LOCK TABLE public.ticks; SELECT pg_current_xact_id(); COMMIT")
                await asyncio.sleep(0.25)


def _family(pid: int) -> list[int]:
    """*pid* and its children, it first."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())]


async def _write(load: Load, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            at = time.monotonic()
            await connection.execute("INSERT INTO public.ticks VALUES (%s)", [at])
            load.written.append(at)
            load.known_at.append(time.monotonic())
            await asyncio.sleep(WRITE_SECONDS)


async def _read(load: Load, reader: FreshReader) -> None:
    async def work(session: LogSession) -> float:
        return float((await session.all(load.query))[0]["at"] or 0.0)

    while True:
        asked = time.monotonic()
        try:
            answer = await reader.answer(work)
        except Exception as error:  # noqa: BLE001 - whatever it is, a caller would have seen it
            load.errors.append(type(error).__name__)
        else:
            at = time.monotonic()
            age = load.age_of(answer.result, at)
            load.tell(Seen(at, answer.read_from, age, answer.staleness_seconds, at - asked))
        await asyncio.sleep(0.005)


async def _returned(load: Load, since: float) -> float:
    """Wait for the first answer of the replica after *since*; how long it took."""
    async with asyncio.timeout(RETURN_SECONDS):
        while True:
            seen = await load.next_answer()
            if seen.source is Source.REPLICA and seen.at > since:
                return seen.at - since


if __name__ == "__main__":
    main()
