"""The limit: COPY of a ready file, on one connection and on two."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from benchmarks.ingest.events import send_file

DURABLE = "SET synchronous_commit = on"


def copy_seconds(url: str, parts: list[bytes], form: str, *, connections: int) -> float:
    """Seconds to COPY all *parts*, dealt out to so many connections, each one transaction."""
    with ThreadPoolExecutor(connections) as pool:
        opened = [psycopg.connect(url) for _ in range(connections)]
        for connection in opened:
            connection.execute(DURABLE)
            connection.commit()
        started = time.perf_counter()
        jobs = [
            pool.submit(_send, connection, parts[number::connections], form) for number, connection in enumerate(opened)
        ]
        for job in jobs:
            job.result()
        seconds = time.perf_counter() - started
        for connection in opened:
            connection.close()
    return seconds


def _send(connection: psycopg.Connection, parts: list[bytes], form: str) -> None:
    for part in parts:
        send_file(connection, part, form)
    connection.commit()
