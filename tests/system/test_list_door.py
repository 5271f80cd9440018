"""With nothing but a Redis client: 10,000 events pushed to the list, bad ones of every kind among them."""

import hashlib
import json
import random
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import redis

from log_events.event_queue import EventQueue
from tests.fixtures.logs import wait_until

GOOD = 9973
NOW = datetime.now(UTC).replace(microsecond=123456)
SYSTEM = {"type": "system_log", "level": "INFO", "component": "c", "message": "m"}
LLM = {"type": "llm_log", "provider": "p", "model": "m", "status": "success"}

DEAD = [
    ("not_json", b"not json"),
    ("not_json", b""),
    ("not_json", b'{"type":"system_log"'),
    ("not_json", b'{"a":NaN}'),
    ("not_json", b"[" * 5000 + b"]" * 5000),
    ("not_an_object", b"[1,2]"),
    ("not_an_object", b"17"),
    ("unknown_type", b'{"type":"audit","level":"INFO"}'),
    ("unknown_type", b'{"level":"INFO","component":"c","message":"m"}'),
    ("missing_field", b'{"type":"system_log","level":"INFO","component":"c"}'),
    ("missing_field", b'{"type":"llm_log","provider":"p","model":null,"status":"s"}'),
    ("wrong_type", json.dumps(SYSTEM | {"message": 5}).encode()),
    ("wrong_type", json.dumps(SYSTEM | {"user_id": "nobody"}).encode()),
    ("wrong_type", json.dumps(LLM | {"prompt_tokens": "7"}).encode()),
    ("wrong_type", json.dumps(SYSTEM | {"created_at": "yesterday"}).encode()),
    ("out_of_range", json.dumps(LLM | {"latency_ms": 2**31}).encode()),
    ("out_of_range", b'{"a":1e1000000000000000000}'),
    ("out_of_range", json.dumps(SYSTEM | {"extra_data": '{"a":-0e-10000000000000000000}'}).encode()),
    ("unknown_level", json.dumps(SYSTEM | {"level": "LOUD"}).encode()),
    ("timestamp_out_of_range", json.dumps(SYSTEM | {"created_at": "1970-01-01T00:00:00Z"}).encode()),
    ("timestamp_out_of_range", json.dumps(SYSTEM | {"created_at": "2100-01-01T00:00:00Z"}).encode()),
    ("too_large", b'{"message":"' + b"x" * (16 * 1024 * 1024) + b'"}'),
]
LONG = "é" * 2000
MENDED = [
    ("NUL", b'{"type":"system_log","level":"INFO","component":"mended","message":"a\\u0000b"}', "message", "a\ufffdb"),
    (
        "surrogate",
        b'{"type":"system_log","level":"INFO","component":"mended","message":"a\\ud800b"}',
        "message",
        "a\ufffdb",
    ),
    ("UTF-8", b'{"type":"system_log","level":"INFO","component":"mended","message":"a\xff"}', "message", "a\ufffd"),
    ("alias", json.dumps(SYSTEM | {"level": "warn", "component": "mended"}).encode(), "level", "WARNING"),
    (
        "long",
        json.dumps(SYSTEM | {"component": "mended", "error_type": LONG}).encode(),
        "extra_data",
        {"_truncated": {"error_type": {"size_bytes": 4000, "sha256": hashlib.sha256(LONG.encode()).hexdigest()}}},
    ),
]


def good_events() -> list[dict]:
    """Events of both tables with every field set now and then, none of it derived by the worker."""
    chance = random.Random(7)
    return [_good_system(chance, number) if number % 3 else _good_llm(chance, number) for number in range(GOOD)]


def _common(chance: random.Random, number: int) -> dict:
    moment = NOW - timedelta(seconds=chance.randrange(86_400), microseconds=number)
    some = {
        "id": str(uuid4()),
        "created_at": moment.isoformat(),
        "error_type": "ValueError",
        "error_message": "é\n" * chance.randrange(5),
        "user_id": str(uuid4()),
        "company_id": str(uuid4()),
        "request_id": f"r-{number}",
        "extra_data": {"n": number, "f": 0.1, "deep": [{"x": None, "y": [True, "é"]}]},
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "service": "svc",
        "host": "h",
    }
    return {key: value for key, value in some.items() if key in ("id", "created_at") or chance.random() < 0.5}


def _good_system(chance: random.Random, number: int) -> dict:
    fixed = {
        "type": "system_log",
        "level": "ERROR",
        "component": f"c{number % 7}",
        "message": "m" * chance.randrange(300),
    }
    return _common(chance, number) | fixed | ({"stack_trace": "  File\n"} if number % 5 == 0 else {})


def _good_llm(chance: random.Random, number: int) -> dict:
    numbers = ("prompt_tokens", "completion_tokens", "total_tokens", "latency_ms", "cached_prompt_tokens")
    fields = {name: chance.randrange(10_000) for name in numbers}
    fixed = {
        "type": "llm_log",
        "provider": "p",
        "model": "m",
        "status": "success",
        "prompt": "q" * 50,
        "streamed": True,
    }
    return _common(chance, number) | fixed | fields | {"cost_usd": float(Decimal(number) / 1_000_000)}


def as_sent(column: str, value: object) -> object:
    """A value of the table as the JSON that was pushed had it."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return float(value) if isinstance(value, Decimal) else value


def test_ten_thousand_pushed_events_end_as_the_table_of_verdicts_says(logs_database_url, any_redis_url, start_worker):
    good = good_events()
    raws = [json.dumps(event).encode() for event in good] + [raw for _, raw in DEAD] + [raw for _, raw, _, _ in MENDED]
    random.Random(3).shuffle(raws)
    with redis.Redis.from_url(any_redis_url) as client:
        for first in range(0, len(raws), 500):
            client.lpush("logs_queue", *raws[first : first + 500])
        worker = start_worker(LOGS_DATABASE_URL=logs_database_url, REDIS_URL=any_redis_url)
        queue = EventQueue(client)
        wait_until(lambda: queue.depth().events == 0, seconds=60)
        depth = queue.depth()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0

    assert (depth.list_events, depth.stream_entries, depth.stream_bytes, depth.in_flight_entries) == (0, 0, 0, 0)
    with psycopg.connect(logs_database_url) as connection:
        check_good(connection, good)
        check_dead(connection)
        check_mended(connection)


def check_good(connection: psycopg.Connection, good: list[dict]) -> None:
    stored = {}
    for table in ("system_logs", "llm_logs LEFT JOIN llm_payloads USING (id, created_at)"):
        cursor = connection.execute(
            f"SELECT * FROM {table} WHERE {'component' if table[0] == 's' else 'model'} <> 'mended'"
        )
        names = [column.name for column in cursor.description]
        for row in cursor:
            stored[str(row[0])] = {n: as_sent(n, v) for n, v in zip(names, row, strict=True) if v is not None}
    for event in good:
        assert stored.pop(event["id"]) == {name: value for name, value in event.items() if name != "type"}
    assert stored == {}


def check_dead(connection: psycopg.Connection) -> None:
    found = connection.execute("SELECT reason, raw, size_bytes, sha256 FROM dead_letters").fetchall()
    expected = [(reason, raw[: 64 * 1024] if reason == "too_large" else raw, raw) for reason, raw in DEAD]
    assert sorted((reason, raw) for reason, raw, _, _ in found) == sorted((reason, raw) for reason, raw, _ in expected)
    assert {(size, digest) for _, _, size, digest in found} == {
        (len(raw), hashlib.sha256(raw).digest()) for _, _, raw in expected
    }


def check_mended(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "SELECT message, level, extra_data, error_type FROM system_logs WHERE component = 'mended'"
    )
    found = [dict(zip(("message", "level", "extra_data", "error_type"), row, strict=True)) for row in rows]
    assert len(found) == len(MENDED)
    for _, _, column, value in MENDED:
        assert value in [row[column] for row in found]
