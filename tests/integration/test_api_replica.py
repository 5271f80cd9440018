"""Logs are read from the replica while it is fresh enough, else from the primary, and callers never notice."""

import asyncio
import time

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import TooManyRequests

from api import log_reader
from api.fresh_reader import Source
from api.replica_watch import StaleReplicaError, WrongReplicaError
from logs_db.queries import PageQuery
from logs_db.replication import parse_lsn
from tests.fixtures.api import NOWHERE, check
from tests.fixtures.log_rows import SYSTEM
from tests.fixtures.logs import wait_until
from tests.fixtures.replica import becomes, count

HELD_BY_REPLAY = "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted)"
NOBODY = "postgresql://app@127.0.0.1:1/logs"


def test_a_replica_that_keeps_up_is_read_and_the_answer_says_how_fresh_it_is(replicated, read_fresh):
    replicated.mark()

    async def scenario(reader):
        answer = await becomes(reader, Source.REPLICA)
        assert answer.result == replicated.marks()
        assert 0 <= answer.staleness_seconds <= 60
        assert parse_lsn(answer.lsn) > 0

    read_fresh(scenario)


def test_a_paused_replica_is_left_at_once_and_read_again_when_it_goes_on(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        with replicated.paused():
            replicated.mark()
            answer = await count(reader)
            assert (answer.read_from, answer.result) == (Source.PRIMARY, replicated.marks())
            await reader.watch.look()
            assert "paused" in str(reader.watch.report.trouble)
        replicated.catch_up()
        assert (await becomes(reader, Source.REPLICA)).result == replicated.marks()

    read_fresh(scenario)


def test_an_answer_of_a_delayed_replica_is_never_older_than_the_bound(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        before = replicated.marks()
        with replicated.setting("recovery_min_apply_delay", "1h"):
            replicated.mark()
            answer = await becomes(reader, Source.PRIMARY)
            assert answer.result == before + 1
            await reader.watch.look()
            assert "more than 1 s behind" in str(reader.watch.report.trouble)
            assert reader.watch.report.lag_bytes > 0
        replicated.catch_up()
        assert (await becomes(reader, Source.REPLICA)).result == before + 1

    read_fresh(scenario, bound=1.0)


def test_who_gives_back_where_it_was_sees_what_it_has_seen(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        before = replicated.marks()
        with replicated.setting("recovery_min_apply_delay", "1h"):
            replicated.mark()
            written = replicated.on_primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]

            fresh_enough = await count(reader)
            assert (fresh_enough.read_from, fresh_enough.result) == (Source.REPLICA, before)
            of_my_own = await count(reader, min_position=parse_lsn(written))
            assert (of_my_own.read_from, of_my_own.result) == (Source.PRIMARY, before + 1)
            again = await count(reader, min_position=parse_lsn(of_my_own.lsn))
            assert again.result == before + 1

    read_fresh(scenario, bound=3600.0)


def test_a_read_cancelled_by_recovery_is_done_by_the_primary(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        tries = []

        async def work(session):
            tries.append(await session.all(_query("SELECT count(*) FROM public.marks")))
            if len(tries) == 1:
                replicated.on_primary.execute("TRUNCATE public.marks")
                await session.all(_query("SELECT pg_sleep(4)"))
            return await session.all(_query("SELECT 1 AS one"))

        with replicated.setting("max_standby_streaming_delay", "0"):
            answer = await reader.answer(work)
        assert (len(tries), answer.read_from, answer.result) == (2, Source.PRIMARY, [{"one": 1}])
        await becomes(reader, Source.REPLICA)

    read_fresh(scenario)


def test_a_replica_that_dies_amid_a_read_costs_nobody_an_answer(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        tries = []

        async def work(session):
            tries.append(1)
            if len(tries) == 1:
                await session.all(_query("SELECT pg_terminate_backend(pg_backend_pid())"))
            return await session.all(_query("SELECT 1 AS one"))

        answer = await reader.answer(work)
        assert (answer.read_from, answer.result) == (Source.PRIMARY, [{"one": 1}])
        await becomes(reader, Source.REPLICA)

    read_fresh(scenario)


def test_a_replica_that_falls_silent_amid_a_read_is_not_waited_for(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        tries = []

        async def work(session):
            tries.append(time.monotonic())
            if len(tries) == 1:
                reader.watch._silent.set()
                await session.all(_query("SELECT pg_sleep(4)"))
            return await session.all(_query("SELECT 1 AS one"))

        answer = await reader.answer(work)
        assert (answer.read_from, answer.result) == (Source.PRIMARY, [{"one": 1}])
        assert tries[1] - tries[0] < 3

    read_fresh(scenario)


def test_a_replica_that_is_busy_is_not_left_and_costs_the_primary_nothing(replicated, read_fresh, monkeypatch):
    monkeypatch.setattr(log_reader, "REPLICA_SECONDS", 0.5)
    monkeypatch.setattr(log_reader, "POOL_CONNECTIONS", 2)

    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        reading, is_over = asyncio.Semaphore(0), asyncio.Event()

        async def hold(_):
            reading.release()
            await is_over.wait()

        held = [asyncio.create_task(reader.answer(hold)) for _ in range(2)]
        for _ in held:
            await reading.acquire()
        with pytest.raises(TooManyRequests):
            await count(reader)
        assert reader.watch.report.trouble is None
        is_over.set()
        assert {(await answer).read_from for answer in held} == {Source.REPLICA}

    read_fresh(scenario)


def test_a_table_that_replay_keeps_locked_is_read_from_the_primary(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        # Replay ends after the lock and before the end of its transaction, as it may for any other reason.
        with replicated.setting("recovery_min_apply_delay", "1h"):
            replicated.on_primary.execute("BEGIN; LOCK TABLE public.marks; SELECT pg_current_xact_id(); COMMIT")
            wait_until(lambda: replicated.on_replica.execute(HELD_BY_REPLAY).fetchone()[0])
            answer = await count(reader)
        assert (answer.read_from, answer.result) == (Source.PRIMARY, replicated.marks())

    read_fresh(scenario, bound=3600.0)


def test_a_replica_cut_off_from_its_primary_is_not_read(replicated, read_fresh):
    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        with replicated.setting("primary_conninfo", "host=127.0.0.1 port=1"):
            await becomes(reader, Source.PRIMARY)
            await reader.watch.look()
            assert "not connected to the primary" in str(reader.watch.report.trouble)

    read_fresh(scenario)


def test_a_replica_stays_fresh_on_an_idle_primary_also_at_the_begin_of_a_page(replicated, read_fresh):
    with psycopg.connect(replicated.primary.superuser_url, autocommit=True) as superuser:
        superuser.execute("SELECT pg_switch_wal()")

    async def scenario(reader):
        await becomes(reader, Source.REPLICA)
        assert reader.watch.report.lag_bytes == 0

    read_fresh(scenario)


def test_what_is_no_replica_of_this_database_is_never_read(replicated, read_fresh):
    other_database = replicated.replica.url("postgres")
    for url, sentence in ((replicated.urls[0], "no standby"), (other_database, "of another database")):

        async def scenario(reader, sentence=sentence):
            assert (await count(reader)).read_from is Source.PRIMARY
            assert isinstance(reader.watch.report.trouble, WrongReplicaError)
            assert sentence in str(reader.watch.report.trouble)

        read_fresh(scenario, replica_url=url)


def test_a_replica_that_is_away_costs_a_read_nothing(read_fresh):
    async def scenario(reader):
        assert (await count(reader)).read_from is Source.PRIMARY
        assert isinstance(reader.watch.report.trouble, StaleReplicaError)
        assert "does not answer" in str(reader.watch.report.trouble)

    read_fresh(scenario, replica_url=NOBODY)


def _query(statement: str) -> PageQuery:
    return PageQuery(sql.Composed([sql.SQL(statement)]), {})


@pytest.fixture
def replica_client(replicated, start_api):
    """A client of the API that reads from the replica."""
    replicated.catch_up()
    primary, replica = replicated.urls
    client = start_api(NOWHERE.settings(logs_database_url=primary, logs_read_database_url=replica))

    def is_replica_read() -> bool:
        # What an idle primary has not flushed yet it does not send either; a commit makes it do both.
        replicated.on_primary.execute("SELECT pg_logical_emit_message(true, 'tests', '')")
        return client.get(SYSTEM).headers["X-Logs-Read-From"] == "replica"

    wait_until(is_replica_read)
    return client


def test_headers_tell_what_was_read_and_bind_the_next_read(replica_client):
    first = replica_client.get(SYSTEM)
    assert first.status_code == 200, first.text
    assert first.headers["X-Logs-Read-From"] == "replica"
    assert float(first.headers["X-Logs-Staleness-Seconds"]) <= 10
    assert replica_client.get(SYSTEM, headers={"X-Logs-Min-LSN": first.headers["X-Logs-LSN"]}).status_code == 200

    ahead = replica_client.get(SYSTEM, headers={"X-Logs-Min-LSN": "FFFFFFFF/0"})
    assert (ahead.status_code, ahead.headers["X-Logs-Read-From"]) == (200, "primary")
    assert replica_client.get(SYSTEM, headers={"X-Logs-Min-LSN": "yesterday"}).status_code == 422


def test_health_tells_how_far_the_replica_is_behind_and_why_it_is_not_used(replicated, replica_client):
    well = check(replica_client, "replica")
    assert (well["status"], well["unit"]) == ("pass", "bytes")
    assert "s behind" in well["message"]

    with replicated.paused():
        wait_until(lambda: check(replica_client, "replica")["status"] == "warn")
        assert "its replay is paused; logs are read from the primary" in check(replica_client, "replica")["message"]


def test_health_calls_a_url_of_something_else_a_failure(replicated, start_api):
    primary, _ = replicated.urls
    client = start_api(NOWHERE.settings(logs_database_url=primary, logs_read_database_url=primary))
    assert client.get(SYSTEM).headers["X-Logs-Read-From"] == "primary"

    wrong = check(client, "replica")
    assert wrong["status"] == "fail"
    assert "it is no standby; logs are read from the primary. Correct LOGS_READ_DATABASE_URL." in wrong["message"]


def test_without_a_replica_nothing_is_said_of_one(replicated, start_api):
    client = start_api(NOWHERE.settings(logs_database_url=replicated.urls[0]))
    answer = client.get(SYSTEM)

    assert (answer.headers["X-Logs-Read-From"], "X-Logs-LSN" in answer.headers) == ("primary", False)
    assert "replica" not in client.get("/api/v1/admin/health").json()["checks"]
