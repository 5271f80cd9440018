"""
Times `logger.info(...)` in the caller's thread: Redis up, away and full, beside the standard library's QueueHandler.

Rounds of all handlers alternate; each figure is the median over the rounds of that percentile, in microseconds.
HEADHUNTER_BENCH_ROUNDS and HEADHUNTER_BENCH_EVENTS set their number and size.  "loop" logs without a pause, as a
caller never does, so that the sending threads compete with it for the interpreter; "paced" logs 2,000 lines a second.
Goals: p50 8, p99 20, p99.9 1,000 us in the loop.  Caveat: on a busy machine p99 and beyond measure the machine; the
QueueHandler's row says how busy it was.
"""

import json
import logging
import logging.handlers
import os
import queue
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from log_events.event_queue import EventQueue
from log_events.log_handler import LogHandler
from log_events.producer import Producer
from log_events.producer_settings import ProducerSettings
from log_events.redaction import AnyEvent, Redactor
from log_events.wire import MAX_FRAME_BYTES
from servers.ports import free_port
from servers.valkey import RedisServer

ROUNDS = int(os.environ.get("HEADHUNTER_BENCH_ROUNDS", "7"))
EVENTS = int(os.environ.get("HEADHUNTER_BENCH_EVENTS", "50000"))
PACED_EVENTS = 2000
PACE_SECONDS = 0.0005
PERCENTILES = (0.5, 0.99, 0.999)

Handlers = dict[str, Callable[[], logging.Handler]]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RedisServer.start(Path(folder), durable=False) as server:
        _fill_queue(server.url)
        rows = {(name, way): _Row() for way in ("loop", "paced") for name in _handlers(server, folder)}
        for _ in range(ROUNDS):
            for (name, way), row in rows.items():
                with (
                    tempfile.TemporaryDirectory(dir=folder) as spool,
                    _logger(_handlers(server, spool)[name]()) as logger,
                ):
                    row.add(_seconds_each(logger, EVENTS, 0) if way == "loop" else _paced(logger))
    print(f"{'handler':34} {'way':6} {'p50':>8} {'p99':>8} {'p99.9':>8}   us, median of {ROUNDS} rounds")
    for (name, way), row in rows.items():
        print(f"{name:34} {way:6} " + " ".join(f"{figure:8.1f}" for figure in row.figures()))
    print(json.dumps({f"emit_{name}_{way}_us".replace(" ", "_"): row.figures() for (name, way), row in rows.items()}))


def _fill_queue(url: str) -> None:
    """Leave no room for whoever allows the queue no more than one frame."""
    with redis.Redis.from_url(url) as client:
        EventQueue(client).admit(b"x" * MAX_FRAME_BYTES, 1)


def _handlers(server: RedisServer, spool: str) -> Handlers:
    away = f"redis://127.0.0.1:{free_port()}/0"
    return {
        "no handler": logging.NullHandler,
        "QueueHandler": _queue_handler,
        "LogHandler": lambda: _log_handler(ProducerSettings(redis_url=server.url)),
        "LogHandler, no redaction": lambda: _log_handler(ProducerSettings(redis_url=server.url), _Unredacted()),
        "LogHandler, Redis away": lambda: _log_handler(ProducerSettings(redis_url=away)),
        "LogHandler, queue full": lambda: _log_handler(
            ProducerSettings(redis_url=server.url, queue_max_bytes=MAX_FRAME_BYTES)
        ),
        "LogHandler, spool": lambda: _log_handler(ProducerSettings(redis_url=server.url, spool_folder=spool)),
        "LogHandler, spool, Redis away": lambda: _log_handler(ProducerSettings(redis_url=away, spool_folder=spool)),
        "LogHandler, spool, queue full": lambda: _log_handler(
            ProducerSettings(redis_url=server.url, queue_max_bytes=MAX_FRAME_BYTES, spool_folder=spool)
        ),
    }


class _Row:
    """The percentiles of one handler in one way of logging, round by round."""

    def __init__(self) -> None:
        self._rounds: list[list[float]] = []

    def add(self, seconds: list[float]) -> None:
        ordered = sorted(seconds)
        self._rounds.append([ordered[int(len(ordered) * share)] * 1e6 for share in PERCENTILES])

    def figures(self) -> list[float]:
        return [round(statistics.median(column), 1) for column in zip(*self._rounds, strict=True)]


def _queue_handler() -> logging.Handler:
    records: queue.Queue[logging.LogRecord] = queue.Queue(-1)
    handler = logging.handlers.QueueHandler(records)
    listener = logging.handlers.QueueListener(records, logging.NullHandler())
    listener.start()
    handler.close = listener.stop  # type: ignore[method-assign]  # ended as our own handlers are
    return handler


class _Unredacted(Redactor):
    """Leaves events as they are, to show what looking for secrets costs."""

    def event(self, event: AnyEvent) -> AnyEvent:
        return event


def _log_handler(settings: ProducerSettings, redactor: Redactor | None = None) -> logging.Handler:
    producer = Producer(settings, redactor)
    handler = LogHandler(producer=producer)

    def close() -> None:
        producer.close(0)  # what is still buffered is not what is timed

    handler.close = close  # type: ignore[method-assign]  # ended with what it starts
    return handler


@contextmanager
def _logger(handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("benchmarks.emit")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.handlers[:] = [handler]
    with ExitStack() as stack:
        stack.callback(handler.close)
        yield logger


def _paced(logger: logging.Logger) -> list[float]:
    return _seconds_each(logger, PACED_EVENTS, PACE_SECONDS)


def _seconds_each(logger: logging.Logger, events: int, pause_seconds: float) -> list[float]:
    clock, seconds = time.perf_counter, []
    logger.info("the first line starts what there is to start")
    for number in range(events):
        began = clock()
        logger.info("a message of ordinary length for user %d", number)
        seconds.append(clock() - began)
        if pause_seconds:
            time.sleep(pause_seconds)
    return seconds


if __name__ == "__main__":
    main()
