"""The process that sends the events of a demo."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

from headhunter.stack.monitor import monitor
from headhunter.stack.own_logs import send_own_logs
from headhunter.stack.postgres_log import send_postgres_log
from headhunter.stack.replay import recorded_calls, replay
from headhunter.stack.tally import write_tally
from headhunter.stack.visibility import VisibilityProbe
from log_events.producer import Producer


def run_demo(urls: dict[str, str], tally_folder: Path, speed: float, postgres_log: Path | None) -> None:
    """
    Send recorded LLM calls and PostgreSQL's log until SIGTERM or SIGINT, then write what was sent to *tally_folder*.

    *urls* holds DATABASE_URL, LOGS_DATABASE_URL, API_URL and ADMIN_TOKEN; the producer reads REDIS_URL by itself.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    producer, probe = send_own_logs("headhunter demo"), VisibilityProbe(urls["LOGS_DATABASE_URL"])
    tasks: list[Callable[[], None]] = [
        partial(_replay, producer, speed, probe, stop),
        partial(probe.run, stop),
        partial(monitor, urls["API_URL"], urls["ADMIN_TOKEN"], urls["DATABASE_URL"], stop),
    ]
    if postgres_log is not None:
        tasks.append(partial(send_postgres_log, producer, postgres_log, stop))
    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        futures = [pool.submit(_stopping, task, stop) for task in tasks]
    write_tally(tally_folder, producer, probe.milliseconds)
    for future in futures:
        future.result()


def _stopping(task: Callable[[], None], stop: Event) -> None:
    # One that ends, in order or not, ends the others: a demo that goes on with a part of itself would mislead.
    try:
        task()
    finally:
        stop.set()


def _replay(producer: Producer, speed: float, probe: VisibilityProbe, stop: Event) -> None:
    for sent in replay(producer, recorded_calls(), speed, stop):
        probe.offer(sent)
