import random
import re
from datetime import timedelta
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from api.log_rows import LlmLogResponse, SystemLogResponse
from log_events.uuid7 import uuid7
from logs_db.models import LlmLog, SystemLog
from logs_db.queries import Position, Stretch, SystemLogFilter, Window, page
from tests.fixtures.log_rows import LLM, NOW, SYSTEM, all_pages, ids, llm, system

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@pytest.mark.parametrize(("response", "model"), [(SystemLogResponse, SystemLog), (LlmLogResponse, LlmLog)])
def test_the_fields_of_an_answer_are_the_columns_of_the_table(response, model):
    assert list(response.model_fields) == list(model.__table__.columns.keys())
    for name, column in model.__table__.columns.items():
        allows_null = type(None) in getattr(response.model_fields[name].annotation, "__args__", ())
        assert allows_null == column.nullable or name == "extra_data"


def test_a_system_log_comes_back_field_by_field(client, logs):
    row = system(
        logs,
        level="ERROR",
        error_type="ValueError",
        error_message="e",
        stack_trace="Traceback",
        user_id=uuid7(),
        company_id=uuid7(),
        request_id="r",
        extra_data=Jsonb({"a": [1, {"b": None}]}),
        trace_id="0" * 32,
        span_id="1" * 16,
        service="s",
        host="h",
    )

    (item,) = client.get(SYSTEM).json()["items"]

    expected = {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}
    assert item == expected | {
        "created_at": NOW.isoformat().replace("+00:00", "Z"),
        "extra_data": {"a": [1, {"b": None}]},
    }


def test_an_llm_log_comes_back_with_its_cost_exact(client, logs):
    llm(logs, cost_usd="0.00000012345678901234567890", prompt_tokens=7, latency_ms=12, streamed=True)

    (item,) = client.get(LLM).json()["items"]

    assert item["cost_usd"] == "1.2345678901234567890E-7"
    assert (item["prompt_tokens"], item["latency_ms"], item["streamed"]) == (7, 12, True)


def test_pages_are_the_whole_list_newest_first_also_where_times_are_equal(client, logs):
    rows = [system(logs, created_at=NOW - timedelta(seconds=n // 7)) for n in range(50)]
    expected = [str(row["id"]) for row in sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)]

    for limit in (1, 7, 49, 50, 51):
        found, pages = all_pages(client, SYSTEM, limit=limit)
        assert found == expected
        assert pages == -(-50 // limit)


def test_pages_run_through_partitions(client, logs):
    rows = [system(logs, created_at=NOW + timedelta(hours=n)) for n in range(0, 72, 5)]

    window = {"since": NOW.isoformat(), "until": (NOW + timedelta(days=4)).isoformat()}
    found, _ = all_pages(client, SYSTEM, limit=2, **window)

    assert found == [str(row["id"]) for row in reversed(rows)]


def test_rows_that_come_between_pages_neither_double_nor_hide_any(client, logs):
    before = [str(system(logs, created_at=NOW - timedelta(milliseconds=n))["id"]) for n in range(100)]
    found, cursor = [], {}
    while True:
        answer = client.get(SYSTEM, params={"limit": 9, **cursor})
        found += ids(answer)
        if answer.json()["next_cursor"] is None:
            break
        cursor = {"cursor": answer.json()["next_cursor"]}
        for _ in range(4):
            system(logs, created_at=NOW + timedelta(milliseconds=random.randint(-110, 10)))

    assert len(found) == len(set(found)) > 100
    assert [each for each in found if each in set(before)] == before


def test_a_default_window_does_not_move_between_pages(client, logs):
    for n in range(3):
        system(logs, created_at=NOW - timedelta(seconds=n))
    first = client.get(SYSTEM, params={"limit": 2}).json()
    second = client.get(SYSTEM, params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert (second["since"], second["until"]) == (first["since"], first["until"])


def test_levels_may_be_given_several_times_and_in_any_case(client, logs):
    rows = {level: str(system(logs, level=level)["id"]) for level in LEVELS}

    assert ids(client.get(SYSTEM, params={"level": "error"})) == [rows["ERROR"]]
    assert set(ids(client.get(SYSTEM, params={"level": ["ERROR", "Debug"]}))) == {rows["ERROR"], rows["DEBUG"]}
    assert len(ids(client.get(SYSTEM))) == 5


@pytest.mark.parametrize("name", ["component", "error_type", "request_id"])
def test_system_logs_are_filtered_by(client, logs, name):
    wanted = system(logs, **{name: "wanted'; --"})
    system(logs, **{name: "other"})

    assert ids(client.get(SYSTEM, params={name: "wanted'; --"})) == [str(wanted["id"])]
    assert ids(client.get(SYSTEM, params={name: "wanted"})) == []


@pytest.mark.parametrize("name", ["provider", "model", "status", "error_type", "request_id"])
def test_llm_logs_are_filtered_by(client, logs, name):
    wanted = llm(logs, **{name: "wanted"})
    llm(logs, **{name: "other"})

    assert ids(client.get(LLM, params={name: "wanted"})) == [str(wanted["id"])]


@pytest.mark.parametrize(("route", "write"), [(SYSTEM, system), (LLM, llm)])
def test_errors_only_leaves_out_what_has_no_error(client, logs, route, write):
    failed = write(logs, error_type="ValueError")
    write(logs)

    assert ids(client.get(route, params={"errors_only": "true"})) == [str(failed["id"])]


def test_an_empty_error_type_is_no_error_of_a_log_to_rows_as_it_is_none_to_the_rollups(client, logs):
    system(logs, error_type="")

    assert ids(client.get(SYSTEM, params={"errors_only": "true"})) == []

    with logs.transaction(force_rollback=True):
        logs.execute("CREATE TABLE alone AS SELECT * FROM system_logs; SET LOCAL enable_seqscan = off")
        logs.execute("CREATE INDEX errors_alone ON alone (created_at DESC) WHERE error_type IS NOT NULL")
        plan = logs.execute(f"EXPLAIN SELECT FROM alone WHERE {SystemLogFilter.failed_rows}").fetchall()
    assert "errors_alone" in str(plan)


def test_filters_are_joined_by_and(client, logs):
    both = system(logs, level="ERROR", component="billing")
    system(logs, level="ERROR")
    system(logs, component="billing")

    assert ids(client.get(SYSTEM, params={"level": "ERROR", "component": "billing"})) == [str(both["id"])]


def test_since_is_included_and_until_is_not(client, logs):
    rows = [system(logs, created_at=NOW - timedelta(seconds=n)) for n in range(4)]
    window = {"since": rows[2]["created_at"].isoformat(), "until": rows[0]["created_at"].isoformat()}

    assert ids(client.get(SYSTEM, params=window)) == [str(rows[1]["id"]), str(rows[2]["id"])]


def test_a_row_of_a_fast_clock_is_shown_without_asking(client, logs):
    row = system(logs, created_at=NOW + timedelta(hours=20))

    assert ids(client.get(SYSTEM)) == [str(row["id"])]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"since": "2025-01-01", "until": "2026-01-03"}, "longer than 366 days"),
        ({"since": "2020-01-01"}, "longer than 366 days"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "earlier than until"),
        ({"until": "0001-01-01T00:00:00Z"}, "years 1 to 9999"),
        ({"since": "yesterday"}, "since: "),
        ({"limit": 501}, "limit: "),
        ({"limit": 0}, "limit: "),
        ({"level": "LOUD"}, "level.0: "),
        ({"component": "a\0b"}, "component.0: no text in the database contains NUL"),
        ({"component": "x" * 300}, "component.0: "),
        ({"request_id": ""}, "request_id: "),
        ({"component": ["a", ""]}, "component.1: "),
        ({"colour": "red"}, "colour: "),
        ({"cursor": "x"}, "begin anew"),
    ],
)
def test_what_is_not_served_is_a_422_in_a_sentence(client, query, sentence):
    answer = client.get(SYSTEM, params=query)

    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert answer.json()["detail"].endswith(".")


def test_a_cursor_serves_its_own_query_only(client, logs):
    for _ in range(3):
        system(logs, level="ERROR")
        llm(logs)
    query = {"level": "ERROR", "limit": 1}
    cursor = client.get(SYSTEM, params=query).json()["next_cursor"]
    tampered = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")

    assert client.get(SYSTEM, params={**query, "cursor": cursor, "limit": 2}).status_code == 200
    assert client.get(SYSTEM, params={**query, "cursor": tampered}).status_code == 422
    assert client.get(SYSTEM, params={"limit": 1, "cursor": cursor}).status_code == 422
    assert client.get(SYSTEM, params={**query, "cursor": cursor, "errors_only": True}).status_code == 422
    assert client.get(LLM, params={"limit": 1, "cursor": cursor}).status_code == 422


def test_a_page_of_large_rows_ends_early_and_goes_on(client, logs):
    rows = [llm(logs, prompt="x" * 3_000_000, created_at=NOW - timedelta(seconds=n)) for n in range(8)]

    first = client.get(LLM, params={"limit": 500, "payloads": True})
    found, _ = all_pages(client, LLM, limit=500, payloads=True)

    assert len(ids(first)) == 3
    assert found == [str(row["id"]) for row in rows]


def test_extra_data_too_deep_for_an_answer_does_not_spoil_its_page(client, logs):
    deep = '{"a": ' * 300 + "1" + "}" * 300
    logs.execute(
        "INSERT INTO public.system_logs (level, component, message, extra_data) VALUES ('INFO', 'c', 'm', %s::jsonb)",
        [deep],
    )
    system(logs)

    items = client.get(SYSTEM).json()["items"]

    assert len(items) == 2
    assert deep in [item["extra_data"] for item in items]


def test_a_page_opens_only_the_partitions_of_its_window(logs):
    window = Window(NOW, NOW + timedelta(days=7))
    query = page(SystemLogFilter(), Stretch((window,), Position(NOW, uuid7())), limit=50)

    plan = "\n".join(line for (line,) in logs.execute(b"EXPLAIN " + query.statement.as_bytes(), query.parameters))

    assert set(re.findall(r"on system_logs_(\w+)", plan)) == {f"{NOW:%Y_%m_%d}"}, plan


def test_pages_come_back_after_the_server_ended_idle_connections(client, stores, logs):
    assert ids(client.get(SYSTEM)) == []

    logs.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE application_name = 'headhunter-api' AND datname = current_database()"
    )

    assert ids(client.get(SYSTEM)) == []
