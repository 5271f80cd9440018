"""The worker's process from its first to its last moment."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from log_events.event_queue import EventQueue
from logs_db.environment import ENVIRONMENT
from migrator.errors import MigratorError
from migrator.upgrade import upgrade_to_head
from worker.collector import look_less_often
from worker.crew import Crew
from worker.deadline import ended_within
from worker.heart import Heart
from worker.peers import running_heads
from worker.pulse import Pulse
from worker.receive import worker_name
from worker.redis_connection import connect_redis
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

EXIT_DONE = 0
EXIT_PERMANENT = 70
EXIT_TEMPORARY = 75


def run(settings: WorkerSettings) -> int:
    """
    Bring the logs schema to its head, then move events until SIGTERM or SIGINT; return the exit code.

    0: told to stop, and nothing in hand was left behind. 70: starting again will not help. 75: start it again, or told
    to stop while a server was away or hung: what was in hand stays pending, and the next worker writes it.
    """
    stop = threading.Event()
    with ended_within(settings.logs_worker_stop_seconds, stop, EXIT_TEMPORARY):
        return _run(settings, stop)


def _run(settings: WorkerSettings, stop: threading.Event) -> int:
    host = socket.gethostname()
    pulse = Pulse(name=worker_name(host), host=host, pid=os.getpid())
    heart = Heart(_queue(settings), pulse)
    heart.start()
    try:
        return _start_up(settings, pulse) or _work(settings, pulse, stop)
    finally:
        heart.stop()


def _start_up(settings: WorkerSettings, pulse: Pulse) -> int:
    """Bring the schema to its head; return 0, or the exit code of a worker that cannot start."""
    try:
        pulse.head = ENVIRONMENT.head
        direct_url = settings.logs_migration_database_url
        result = upgrade_to_head(
            ENVIRONMENT,
            settings.database_url,
            ddl_url=direct_url.get_secret_value() if direct_url else None,
            budgets=settings.migration_budgets,
            application_name="headhunter-worker",
            running_revisions=running_heads(_queue(settings), pulse.name),
        )
    except MigratorError as exc:
        # No traceback: the sentence says all there is.
        logger.error("%s", exc, extra={"event": "start_failed", "exit_code": exc.exit_code})  # noqa: TRY400
        return exc.exit_code
    pulse.revision = result.after.revision
    return EXIT_DONE


def _work(settings: WorkerSettings, pulse: Pulse, stop: threading.Event) -> int:
    crew = Crew(settings, pulse, stop)
    look_less_often()
    with _signals_set(stop, pulse):
        pulse.state = "running"
        started: dict[str, str | None] = {"event": "worker_started", "worker": pulse.name, "revision": pulse.revision}
        logger.info("the worker is running", extra=started)
        crew.work()
    written = pulse.written
    extra = {
        "event": "worker_stopped",
        "worker": pulse.name,
        "rows": written.rows,
        "dead_letters": written.dead_letters,
    }
    logger.info("the worker has stopped", extra=extra)
    if crew.failed.is_set() or crew.outdated.is_set() or crew.left_behind.is_set():
        return EXIT_TEMPORARY
    return EXIT_DONE


def _queue(settings: WorkerSettings) -> EventQueue:
    return EventQueue(connect_redis(settings.redis_url.get_secret_value()))


@contextmanager
def _signals_set(stop: threading.Event, pulse: Pulse) -> Iterator[None]:
    """SIGTERM and SIGINT set *stop*; a second one ends the process at once, as it would without us."""

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        pulse.state = "stopping"
        stop.set()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
