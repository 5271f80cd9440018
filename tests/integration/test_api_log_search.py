from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from api import log_reader, log_search
from tests.fixtures.log_rows import LLM, NOW, SYSTEM, all_pages, ids, llm, system
from tests.fixtures.logs import wait_until

MIDNIGHT = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=1)
"""Of a day whose partition is there and which no other test counts."""
DAY = {"since": MIDNIGHT.isoformat(), "until": (MIDNIGHT + timedelta(days=1)).isoformat()}
BLOCKED = """
SELECT 1 FROM pg_stat_activity WHERE application_name = 'headhunter-api' AND wait_event_type = 'Lock'
    AND datname = current_database()
"""
PAIR = {"level": "ERROR", "component": "billing"}


@pytest.fixture
def counts(logs):
    """A connection to a database whose rollups are emptied afterwards."""
    yield logs
    for table in ("system_log_hours", "system_log_deltas", "rollup_days"):
        logs.execute(f"TRUNCATE public.{table}")


def recounted(connection, table="system_logs"):
    connection.execute("INSERT INTO public.rollup_days VALUES (%s, %s, 1, now())", [table, MIDNIGHT])


def at(hour, minute=30):
    return MIDNIGHT + timedelta(hours=hour, minutes=minute)


@pytest.mark.parametrize("name", ["trace_id", "user_id", "company_id", "request_id"])
@pytest.mark.parametrize(("route", "write"), [(SYSTEM, system), (LLM, llm)])
def test_logs_are_found_by(client, logs, route, write, name):
    value = uuid4() if name in {"user_id", "company_id"} else "a" * 32
    wanted = write(logs, **{name: value})
    write(logs)

    assert ids(client.get(route, params={name: str(value)})) == [str(wanted["id"])]


def test_several_components_may_be_asked_for(client, logs):
    rows = {name: str(system(logs, component=name)["id"]) for name in "abc"}

    assert set(ids(client.get(SYSTEM, params={"component": ["a", "c"]}))) == {rows["a"], rows["c"]}


@pytest.mark.parametrize("text", ["100%_done\\", "DONE\\ twice", "%_", "'; --"])
def test_a_text_is_looked_for_as_it_is_in_any_case(client, logs, text):
    wanted = system(logs, message="was 100%_done\\ twice'; --")
    system(logs, message="was 1000 done twice")

    assert ids(client.get(SYSTEM, params={"text": text})) == [str(wanted["id"])]


@pytest.mark.parametrize(
    "query",
    [
        {"extra_contains": '{"http": {"status": 500}}'},
        {"extra_path": "$.http.status ? (@ >= 500)"},
        {"extra_path": '$.tags[*] ? (@ == "slow")'},
    ],
)
def test_extra_data_is_looked_into(client, logs, query):
    wanted = system(logs, extra_data=Jsonb({"http": {"status": 500}, "tags": ["new", "slow"]}))
    system(logs, extra_data=Jsonb({"http": {"status": 200}, "tags": "slow?"}))
    system(logs)

    assert ids(client.get(SYSTEM, params=query)) == [str(wanted["id"])]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"extra_contains": "{"}, "extra_contains: give a JSON object"),
        ({"extra_contains": "[1]"}, "extra_contains: give a JSON object"),
        ({"extra_contains": '{"a":' * 999 + "1" + "}" * 999}, "extra_contains: "),
        ({"extra_contains": '{"a": "\\u0000"}'}, "none that the database can hold"),
        ({"extra_path": "$.a ? ("}, "extra_path is no SQL/JSON path"),
        ({"extra_path": '$.a ? (@ like_regex "(a+)+$")'}, "extra_path: like_regex"),
        ({"extra_path": "$.**.a.**.b"}, "more than once"),
        ({"text": ""}, "text: "),
        ({"text": "x" * 256}, "text: "),
        ({"user_id": "1 OR 1=1"}, "user_id: "),
        ({"component": ["c"] * 21}, "component: "),
        ({"offset": 10**9}, "offset: "),
        ({"since": "2020-01-01"}, "longer than 366 days"),
    ],
)
def test_what_could_do_harm_or_cannot_be_is_refused_in_a_sentence(client, logs, query, sentence):
    system(logs, extra_data=Jsonb({"a": 1}))
    answer = client.get(SYSTEM, params=query)

    assert (answer.status_code, sentence in answer.json()["detail"]) == (422, True), answer.text


def test_a_text_is_looked_for_in_so_many_rows_a_page_and_the_next_page_goes_on(client, logs, monkeypatch):
    monkeypatch.setattr(log_search, "CHUNK_ROWS", 3)
    monkeypatch.setattr(log_search, "LOOKED_ROWS", 6)
    rows = [system(logs, message=f"row {n % 8}", created_at=NOW - timedelta(seconds=n // 2)) for n in range(20)]
    wanted = {str(row["id"]) for row in rows if row["message"] == "row 7"}

    first = client.get(SYSTEM, params={"text": "ROW 7"}).json()
    found, pages = all_pages(client, SYSTEM, text="ROW 7")

    assert first["searched_since"] == (NOW - timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    assert first["next_cursor"] is not None
    assert (len(found), set(found), pages) == (2, wanted, 4)


def test_an_index_of_trigrams_is_used_where_there_is_one(own_stores, own_logs, start_api, monkeypatch):
    if not own_logs.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'").fetchone():
        pytest.skip("this PostgreSQL comes without pg_trgm")
    own_logs.execute("CREATE EXTENSION pg_trgm")
    own_logs.execute("CREATE INDEX trigrams ON public.system_logs USING gin (message gin_trgm_ops)")
    monkeypatch.setattr(log_search, "CHUNK_ROWS", 1)
    monkeypatch.setattr(log_search, "LOOKED_ROWS", 1)
    wanted = system(own_logs, message="a needle", created_at=NOW - timedelta(seconds=5))
    for _ in range(5):
        system(own_logs)

    page = start_api(own_stores.settings()).get(SYSTEM, params={"text": "NEEDLE"})

    assert ids(page) == [str(wanted["id"])]
    assert page.json()["next_cursor"] is None


def test_hours_of_a_recounted_day_that_hold_no_match_are_not_read(client, logs, counts):
    recounted(counts)
    counts.execute("INSERT INTO public.system_log_hours VALUES (%s, 'ERROR', 'billing', '', 1)", [at(3, 0)])
    counts.execute(
        "INSERT INTO public.system_log_deltas (minute, level, component, error_type, events)"
        " VALUES (%s, 'ERROR', 'billing', 'Late', 1)",
        [at(9)],
    )
    rows = [system(logs, created_at=at(hour), **PAIR) for hour in (3, 5, 9)]

    # The row of 5 o'clock, which was never counted, tells that this hour was left out.
    assert ids(client.get(SYSTEM, params=DAY | PAIR)) == [str(rows[2]["id"]), str(rows[0]["id"])]


def test_a_day_that_was_not_recounted_is_read_whole(client, logs, counts):
    counts.execute("INSERT INTO public.system_log_hours VALUES (%s, 'ERROR', 'billing', '', 1)", [at(3, 0)])
    recounted(counts, "llm_logs")
    rows = [system(logs, created_at=at(hour), **PAIR) for hour in (3, 5, 9)]

    assert ids(client.get(SYSTEM, params=DAY | PAIR)) == [str(row["id"]) for row in reversed(rows)]


def test_pages_over_counted_hours_are_the_whole_list(client, logs, counts):
    recounted(counts)
    hours = range(0, 24, 3)
    for hour in hours:
        counts.execute("INSERT INTO public.system_log_hours VALUES (%s, 'ERROR', 'billing', '', 3)", [at(hour, 0)])
    rows = [system(logs, created_at=at(hour, minute), **PAIR) for hour in hours for minute in (0, 7, 59)]
    system(logs, created_at=at(4), level="ERROR")

    for limit in (1, 5, 24, 100):
        found, pages = all_pages(client, SYSTEM, limit=limit, **DAY, **PAIR)
        assert found == [str(row["id"]) for row in reversed(rows)]
        assert pages == -(-24 // limit)


def test_a_search_may_cover_a_year_and_ends_there(client, logs):
    row = system(logs, created_at=NOW)

    page = client.get(SYSTEM, params={"since": (NOW - timedelta(days=365)).isoformat()})

    assert ids(page) == [str(row["id"])]
    assert page.json()["next_cursor"] is None
    assert page.json()["searched_since"] == page.json()["since"]


def test_a_page_of_calls_has_their_payloads_only_where_they_are_asked_for(client, logs):
    old = llm(logs, prompt="old prompt", created_at=NOW - timedelta(seconds=1))
    new = llm(logs)
    logs.execute(
        "INSERT INTO public.llm_payloads (id, created_at, prompt, response) VALUES (%s, %s, 'new prompt', 'said')",
        [new["id"], NOW],
    )

    bare = client.get(LLM).json()["items"]
    full = client.get(LLM, params={"payloads": True}).json()["items"]

    assert [item["prompt"] for item in bare] == [None, None]
    assert [(item["prompt"], item["response"]) for item in full] == [("new prompt", "said"), ("old prompt", None)]
    assert [item["id"] for item in full] == [str(new["id"]), str(old["id"])]


def test_who_comes_when_too_many_wait_is_told_to_come_again(stores, logs, start_api, monkeypatch):
    monkeypatch.setattr(log_reader, "POOL_CONNECTIONS", 1)
    monkeypatch.setattr(log_reader, "WAITING_REQUESTS", 1)
    client = start_api(stores.settings())
    with psycopg.connect(stores.logs) as blocker, ThreadPoolExecutor(3) as pool:
        blocker.execute("LOCK TABLE public.system_logs")
        asked = [pool.submit(client.get, SYSTEM)]
        wait_until(lambda: logs.execute(BLOCKED).fetchone())
        asked += [pool.submit(client.get, SYSTEM) for _ in range(2)]
        refused, _ = wait(asked, return_when=FIRST_COMPLETED)
        blocker.rollback()
        answers = [one.result() for one in asked]

    (answer,) = (one.result() for one in refused)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert sorted(one.status_code for one in answers) == [200, 200, 429]
