"""How others write the same rows: an ORM, executemany, JSON by the recordset, and popping before writing."""

import time
from collections.abc import Callable

import msgspec
import psycopg
import redis
from msgspec.structs import asdict, astuple
from psycopg.types.json import Jsonb
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks.ingest.events import chunks
from log_events.system_log import SystemLogEvent
from logs_db.models.system_log import SystemLog
from worker.tables import SYSTEM_LOGS

Events = list[SystemLogEvent]
Way = Callable[[str, str, Events], float]

STATEMENT_ROWS = 1000
_POPPED = 100
_LIST = "popped_then_written"
_INSERT = SYSTEM_LOGS.statement("INSERT INTO {table} ({columns}) VALUES ").as_string() + "({})".format(
    ", ".join(["%s"] * len(SystemLogEvent.__struct_fields__))
)
_RECORDSET = SYSTEM_LOGS.statement(
    "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s)"
)


def orm_one_by_one(url: str, redis_url: str, events: Events) -> float:
    """Rows per second of a session that commits each event, as the legacy worker did."""
    del redis_url
    return _orm(url, events, 1)


def orm_by_the_hundred(url: str, redis_url: str, events: Events) -> float:
    """Rows per second of a session that commits a hundred events at a time."""
    del redis_url
    return _orm(url, events, 100)


def executemany(url: str, redis_url: str, events: Events) -> float:
    """Rows per second of psycopg's executemany, pipelined, a thousand rows a transaction."""
    del redis_url
    with psycopg.connect(url, autocommit=True) as connection:
        started = time.perf_counter()
        for chunk in chunks(events, STATEMENT_ROWS):
            with connection.transaction():
                connection.cursor().executemany(_INSERT.encode(), [astuple(event) for event in chunk])
        return len(events) / (time.perf_counter() - started)


def recordset(url: str, redis_url: str, events: Events) -> float:
    """Rows per second of one statement for a thousand rows, sent as one JSON array."""
    del redis_url
    with psycopg.connect(url, autocommit=True) as connection:
        started = time.perf_counter()
        for chunk in chunks(events, STATEMENT_ROWS):
            rows = [
                asdict(event) | {"extra_data": msgspec.Raw((event.extra_data or "null").encode())} for event in chunk
            ]
            connection.execute(_RECORDSET, [Jsonb(rows, dumps=msgspec.json.encode)])
        return len(events) / (time.perf_counter() - started)


def pop_then_write(url: str, redis_url: str, events: Events) -> float:
    """Rows per second of taking a hundred events off a list, then inserting them: what is popped can be lost."""
    with redis.Redis.from_url(redis_url) as client, psycopg.connect(url, autocommit=True) as connection:
        client.rpush(_LIST, *(msgspec.json.encode(astuple(event)) for event in events))
        started = time.perf_counter()
        while popped := client.lpop(_LIST, _POPPED):
            with connection.transaction():
                connection.cursor().executemany(_INSERT.encode(), [msgspec.json.decode(one) for one in popped])
        return len(events) / (time.perf_counter() - started)


WAYS: dict[str, tuple[Way, int]] = {
    "ORM, one by one": (orm_one_by_one, 3_000),
    "ORM, by the hundred": (orm_by_the_hundred, 20_000),
    "executemany": (executemany, 50_000),
    "jsonb_populate_recordset": (recordset, 100_000),
    "pop, then write": (pop_then_write, 20_000),
}
"""Each way, and how many events are enough to time it."""


def _orm(url: str, events: Events, per_commit: int) -> float:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with Session(engine) as session:
        started = time.perf_counter()
        for chunk in chunks(events, per_commit):
            session.add_all(SystemLog(**_mapped(event)) for event in chunk)
            session.commit()
        seconds = time.perf_counter() - started
    engine.dispose()
    return len(events) / seconds


def _mapped(event: SystemLogEvent) -> dict[str, object]:
    return asdict(event) | {"extra_data": event.extra_data and msgspec.json.decode(event.extra_data)}
