import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from api.routes import log_sums
from log_events.uuid7 import uuid7
from logs_db.latency_sketch import bucket_of
from logs_db.queries import Window
from logs_db.queries.sums import Key, Step, histogram
from tests.fixtures.log_rows import NOW, llm, system

STORY, EVENTS = "/api/v1/admin/logs/story", "/api/v1/admin/logs/events"
HISTOGRAM, SPEND = "/api/v1/admin/logs/system/histogram", "/api/v1/admin/logs/llm/spend"
TODAY = NOW.replace(hour=0, minute=0, second=0)
DAY = {"since": TODAY.isoformat(), "until": (TODAY + timedelta(days=1)).isoformat()}


@pytest.fixture
def sums(logs):
    """A connection to a database whose rollups are emptied afterwards."""
    yield logs
    names = "system_log_hours system_log_minutes system_log_deltas llm_log_hours llm_log_deltas llm_latency_hours"
    for table in names.split():
        logs.execute(f"TRUNCATE public.{table}")
    logs.execute("TRUNCATE public.rollup_days")


def add(connection, table, start, key, *numbers):
    names = {"system_log_deltas": "minute, level, component, error_type, events"}
    values = ", ".join(["%s"] * (1 + len(key) + len(numbers)))
    columns = f"({names[table]})" if table in names else ""
    connection.execute(f"INSERT INTO public.{table} {columns} VALUES ({values})", [start, *key, *numbers])


def calls(connection, start, model, cost):
    sums = [10, 1, 100, 50, 150, 5, 6, 7, cost, 2, 3000]
    add(connection, "llm_log_hours", start, ("openai", model, "chat", "success"), *sums)


@pytest.mark.parametrize(("name", "value"), [("request_id", "r-1"), ("trace_id", "b" * 32)])
def test_a_story_is_all_events_of_both_tables_in_the_order_of_time(client, logs, name, value):
    wanted = [
        write(logs, **{name: value}, created_at=NOW - timedelta(seconds=ago))
        for ago, write in ((9, system), (7, llm), (5, system), (3, llm))
    ]
    system(logs, **{name: "another"}, created_at=NOW - timedelta(seconds=4))
    llm(logs)

    story = client.get(STORY, params={name: value}).json()

    told = [event["system_log"] or event["llm_log"] for event in story["events"]]
    assert [event["id"] for event in told] == [str(row["id"]) for row in wanted]
    assert [event["llm_log"] is None for event in story["events"]] == [True, False, True, False]
    assert story["is_complete"] is True


def test_a_story_too_long_keeps_its_newest_events_and_says_so(client, logs):
    rows = [system(logs, request_id="r-2", created_at=NOW - timedelta(seconds=ago)) for ago in (3, 2, 1)]

    story = client.get(STORY, params={"request_id": "r-2", "limit": 2}).json()

    assert [event["system_log"]["id"] for event in story["events"]] == [str(row["id"]) for row in rows[1:]]
    assert story["is_complete"] is False


def test_a_story_has_no_hole(client, logs):
    tables = system, llm, system, system, llm
    rows = [write(logs, request_id="r", created_at=NOW - timedelta(seconds=9 - n)) for n, write in enumerate(tables)]

    def told(limit):
        story = client.get(STORY, params={"request_id": "r", "limit": limit}).json()
        return [(event["system_log"] or event["llm_log"])["id"] for event in story["events"]], story["is_complete"]

    ids = [str(row["id"]) for row in rows]
    assert told(3) == (ids, True)
    assert told(2) == (ids[2:], False)


def test_neither_table_of_a_story_takes_the_room_of_the_other(client, logs, monkeypatch):
    # More than the server sends ahead, so that it is still at it where the part ends.
    monkeypatch.setattr("api.log_story.TABLE_MAX_BYTES", 1_000_000)
    call = llm(logs, request_id="r", created_at=NOW)
    for ago in range(1, 21):
        system(logs, request_id="r", message="m" * 500_000, created_at=NOW - timedelta(seconds=ago))

    story = client.get(STORY, params={"request_id": "r"}).json()

    assert story["is_complete"] is False
    assert [event["system_log"] is None for event in story["events"]] == [False, False, True]
    assert story["events"][-1]["llm_log"]["id"] == str(call["id"])


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({}, "give either request_id or trace_id"),
        ({"request_id": "a", "trace_id": "b"}, "give either request_id or trace_id"),
        ({"request_id": ""}, "request_id: "),
        ({"request_id": "a", "since": "2020-01-01"}, "longer than 31 days"),
    ],
)
def test_a_story_of_nobody_or_without_bounds_is_refused(client, query, sentence):
    answer = client.get(STORY, params=query)

    assert (answer.status_code, sentence in answer.json()["detail"]) == (422, True), answer.text


@pytest.mark.parametrize("away", [timedelta(0), timedelta(minutes=4), timedelta(hours=-3)])
@pytest.mark.parametrize(("write", "name"), [(system, "system_log"), (llm, "llm_log")])
def test_an_event_is_found_by_its_id_though_its_time_is_a_little_another(client, logs, write, name, away):
    row = write(logs, id=uuid7(), created_at=NOW + away)

    event = client.get(f"{EVENTS}/{row['id']}").json()

    assert event[name]["id"] == str(row["id"])


def test_an_event_of_a_model_is_shown_with_what_was_sent(client, logs):
    row = llm(logs)
    values = [row["id"], row["created_at"]]
    logs.execute("INSERT INTO public.llm_payloads (id, created_at, prompt) VALUES (%s, %s, 'asked')", values)

    assert client.get(f"{EVENTS}/{row['id']}").json()["llm_log"]["prompt"] == "asked"


def test_an_id_without_a_time_needs_one_and_is_then_found(client, logs):
    row = system(logs, id=uuid4())
    place = f"{EVENTS}/{row['id']}"

    refused = client.get(place)
    found = client.get(place, params={"created_at": row["created_at"].isoformat()})

    assert (refused.status_code, "give created_at too" in refused.json()["detail"]) == (422, True)
    assert found.json()["system_log"]["id"] == str(row["id"])


@pytest.mark.parametrize(
    ("event_id", "query", "status"),
    [
        (uuid7(), {}, 404),
        (UUID("ffffffff-ffff-7fff-8fff-ffffffffffff"), {}, 422),
        (uuid4(), {"created_at": "0001-01-01T00:00:00Z"}, 422),
        (uuid4(), {"created_at": "0001-01-01T00:00:00+05:00"}, 422),
        ("1 OR 1=1", {}, 422),
    ],
)
def test_an_event_that_is_nowhere_is_said_in_a_sentence(client, event_id, query, status):
    answer = client.get(f"{EVENTS}/{event_id}", params=query)

    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].endswith(".")


def test_a_histogram_is_folded_sums_and_deltas_together(client, sums):
    key = ("ERROR", "billing", "")
    add(sums, "system_log_hours", TODAY + timedelta(hours=5), key, 7)
    add(sums, "system_log_hours", TODAY + timedelta(hours=6), ("INFO", "billing", ""), 2)
    add(sums, "system_log_deltas", TODAY + timedelta(hours=5, minutes=3), key, 4)
    add(sums, "system_log_deltas", TODAY + timedelta(days=1), key, 100)

    by_level = client.get(HISTOGRAM, params={**DAY, "step": "hour"}).json()
    by_component = client.get(HISTOGRAM, params={**DAY, "by": "component"}).json()

    assert [(bar["start"][11:13], bar["key"], bar["events"]) for bar in by_level["bars"]] == [
        ("05", "ERROR", 11),
        ("06", "INFO", 2),
    ]
    assert [(bar["key"], bar["events"]) for bar in by_component["bars"]] == [("billing", 13)]
    assert len(by_level["provisional_days"]) == 1


def test_a_histogram_of_minutes_is_of_the_minutes(client, sums):
    add(sums, "system_log_minutes", TODAY + timedelta(minutes=61), ("INFO", "c", "E"), 3)
    add(sums, "system_log_deltas", TODAY + timedelta(minutes=61), ("INFO", "c", "E"), 1)

    bars = client.get(HISTOGRAM, params={**DAY, "step": "minute", "by": "error_type"}).json()["bars"]

    assert [(bar["start"][11:16], bar["key"], bar["events"]) for bar in bars] == [("01:01", "E", 4)]


def test_keys_beyond_the_fifty_most_frequent_are_put_together_by_the_database(client, sums):
    for number in range(60):
        for start in (TODAY, TODAY + timedelta(hours=2)):
            add(sums, "system_log_hours", start, ("INFO", f"c{number:02}", ""), 100 - number)

    bars = client.get(HISTOGRAM, params={**DAY, "by": "component"}).json()["bars"]
    hourly = histogram(Window(TODAY, TODAY + timedelta(days=1)), step=Step.HOUR, key=Key.COMPONENT)
    rows = sums.execute(hourly.statement, hourly.parameters).fetchall()

    assert len(bars) == 51
    assert {bar["key"]: bar["events"] for bar in bars}["(others)"] == 2 * sum(100 - number for number in range(50, 60))
    assert len(rows) == 2 * 51


def test_bars_are_built_beside_the_event_loop(client, sums, monkeypatch):
    add(sums, "system_log_hours", TODAY, ("INFO", "c", ""), 1)
    build, loops = log_sums.as_bars, []
    monkeypatch.setattr(log_sums, "as_bars", lambda rows: loops.append(asyncio._get_running_loop()) or build(rows))

    assert len(client.get(HISTOGRAM, params=DAY).json()["bars"]) == 1
    assert loops == [None]


def test_a_recounted_day_is_not_provisional(client, sums):
    sums.execute("INSERT INTO public.rollup_days VALUES ('system_logs', %s, 0, now())", [TODAY])

    assert client.get(HISTOGRAM, params=DAY).json()["provisional_days"] == []
    assert len(client.get(SPEND, params=DAY).json()["provisional_days"]) == 1


@pytest.mark.parametrize(("step", "days"), [("minute", 2), ("hour", 32), ("day", 367)])
def test_a_histogram_of_too_many_bars_is_refused(client, step, days):
    query = {"step": step, "since": (NOW - timedelta(days=days)).isoformat(), "until": NOW.isoformat()}

    assert client.get(HISTOGRAM, params=query).status_code == 422


def test_minutes_that_are_no_longer_kept_are_refused_instead_of_shown_as_empty(client):
    query = {
        "step": "minute",
        "since": (NOW - timedelta(days=9)).isoformat(),
        "until": (NOW - timedelta(days=8.5)).isoformat(),
    }

    answer = client.get(HISTOGRAM, params=query)

    assert (answer.status_code, "kept for 8 days" in answer.json()["detail"]) == (422, True)


def test_spend_is_by_day_and_model_and_exact(client, sums):
    calls(sums, TODAY + timedelta(hours=1), "gpt", "0.10000000000000000001")
    calls(sums, TODAY + timedelta(hours=2), "gpt", "0.2")
    calls(sums, TODAY + timedelta(hours=2), "tiny", "0.001")

    lines = client.get(SPEND, params=DAY).json()["lines"]

    assert [(line["model"], line["cost_usd"], line["calls"]) for line in lines] == [
        ("gpt", "0.30000000000000000001", 20),
        ("tiny", "0.001", 10),
    ]
    assert (lines[0]["unpriced_calls"], lines[0]["latency_ms"], lines[0]["reasoning_tokens"]) == (4, 6000, 14)


def test_percentiles_of_latency_come_where_they_are_asked_for(client, sums):
    for hour, milliseconds, number in ((1, 100, 60), (2, 100, 30), (2, 1_000, 8), (3, 9_000, 2)):
        place = TODAY + timedelta(hours=hour)
        add(sums, "llm_latency_hours", place, ("openai", "gpt", "chat", "success"), bucket_of(milliseconds), number)

    (latency,) = client.get(SPEND, params={**DAY, "percentiles": True}).json()["latencies"]

    assert client.get(SPEND, params=DAY).json()["latencies"] is None
    assert (latency.pop("provider"), latency.pop("model")) == ("openai", "gpt")
    for name, true_ms in (("p50_ms", 100), ("p95_ms", 1_000), ("p99_ms", 9_000)):
        assert true_ms <= latency[name] <= 1.05 * true_ms


def test_a_trace_is_looked_for_in_a_day_unless_more_is_asked_for(client):
    since = {name: client.get(STORY, params={name: "x"}).json()["since"] for name in ("request_id", "trace_id")}
    asked = client.get(STORY, params={"trace_id": "x", "since": (NOW - timedelta(days=20)).isoformat()}).json()["since"]

    assert since["request_id"] < asked < since["trace_id"]
