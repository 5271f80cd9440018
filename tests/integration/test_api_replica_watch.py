"""A watch of the replica that meets a fault goes on, and one that has ended is told of."""

import asyncio

from pydantic import SecretStr

from api.replica_watch import ReplicaWatch
from tests.fixtures.api import NOWHERE, check

PATIENCE_SECONDS = 30.0


def test_a_fault_of_the_watch_is_logged_and_the_watch_goes_on(database_url, monkeypatch, caplog):
    async def scenario():
        url = SecretStr(database_url)
        watch, reports, has_gone_on = ReplicaWatch(url, url, 60.0), [], asyncio.Event()

        async def ask():
            reports.append(watch.report)
            if len(reports) <= 2:
                raise RuntimeError("planted")
            has_gone_on.set()

        monkeypatch.setattr(watch._primary, "ask", ask)
        await watch.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await has_gone_on.wait()
        finally:
            await watch.stop()
        assert "failed at looking at it" in str(reports[1].trouble)

    asyncio.run(scenario())
    assert [record.event for record in caplog.records if hasattr(record, "event")].count("watch_failed") == 1


def test_health_warns_of_a_replica_that_is_no_longer_looked_at(database_url, start_api, monkeypatch):
    monkeypatch.setattr("api.health.replica._LATE_SECONDS", 0.0)
    client = start_api(NOWHERE.settings(logs_database_url=database_url, logs_read_database_url=NOWHERE.logs))

    late = check(client, "replica")

    assert (late["status"], "start the API again" in late["message"]) == ("warn", True)
