"""All threads of a running worker: lanes, bridge, maintenance, keepers, schema watch; begun and ended together."""

import logging
import threading
from collections.abc import Callable

import redis

from log_events.event_queue import EventQueue
from worker.acceptance import AcceptedPast
from worker.brake import Brakes
from worker.bridge import Bridge
from worker.holds import Holds
from worker.keeper import Keeper
from worker.lane import Lane
from worker.maintenance import Maintenance
from worker.patience import Patience
from worker.pulse import Pulse
from worker.receive import Receiver, is_no_group
from worker.redis_connection import connect_redis
from worker.rollup_keeper import RollupKeeper
from worker.schema_watch import SchemaWatch
from worker.settings import WorkerSettings
from worker.write import SchemaMovedError, Writer

logger = logging.getLogger(__name__)


class Crew:
    """
    The threads of one worker.

    Args:
        stop: Set by whoever wants the worker to end: a signal, or one of the threads.
    """

    def __init__(self, settings: WorkerSettings, pulse: Pulse, stop: threading.Event) -> None:
        self._settings = settings
        self._pulse = pulse
        self._stop = stop
        self._maintenance = Maintenance(
            self._queue(),
            settings.maintenance_url,
            settings.dead_letter_retention_days,
            settings.dead_letters_max_bytes,
            settings.retention,
            pulse,
            stop,
        )
        self._keeper = Keeper(settings.maintenance_url, settings.retention, pulse, stop, settings.log_archive_url)
        self._rollup_keeper = RollupKeeper(settings.maintenance_url, pulse, stop)
        self._brakes = Brakes(stop)
        self._pulse.patiences += [brake.patience for brake in self._brakes.values()]
        self._consumers = [f"{pulse.name}/{number}" for number in range(settings.log_thread_pool_size)]
        self.outdated = threading.Event()
        """Set where the worker stops because the schema is none that it knows."""
        self.failed = threading.Event()
        """Set where the worker stops because one of its threads met what nobody foresaw."""
        self.left_behind = threading.Event()
        """Set where something that was in hand may still be pending: a server was away when the worker was to stop."""

    def work(self) -> None:
        """Run all threads until *stop* is set and each has finished what it had in hand."""
        bridge = Bridge(self._queue(), self._settings.logs_queue_max_bytes, self._pulse, self._stop)
        self._pulse.patiences.append(bridge.patience)
        watch = SchemaWatch(self._settings.database_url, self._pulse, self._stop, self.outdated)
        self._keeper.first_look()
        lanes = [self._lane(consumer, is_first=number == 0) for number, consumer in enumerate(self._consumers)]
        keepers = [self._maintenance.run, self._keeper.run, self._rollup_keeper.run]
        jobs = [*(lane.run for lane in lanes), bridge.run, watch.run, *keepers]
        threads = [threading.Thread(target=self._guarded, args=(job,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._leave_group()

    def _lane(self, consumer: str, *, is_first: bool) -> Lane:
        queue = self._queue()
        patience = Patience("waiting_for_postgres", self._stop)
        make_days = self._maintenance.make_days
        past = AcceptedPast.by(self._settings.retention)
        url, gone_of = self._settings.database_url, Holds(queue).gone_of
        writer = Writer(url, patience, make_days, "headhunter-worker", self._brakes, past, gone_of)
        receiver = Receiver(queue, consumer, self._pulse.host)
        lane = Lane(consumer, queue, receiver, writer, self._pulse, self._stop, claims=is_first)
        self._pulse.patiences += [patience, lane.redis_patience]
        return lane

    def _queue(self) -> EventQueue:
        return EventQueue(connect_redis(self._settings.redis_url.get_secret_value()))

    def _guarded(self, job: Callable[[], None]) -> None:
        """Run *job*; whatever ends it before its time ends the worker, so that no half of one goes on unseen."""
        try:
            job()
        except SchemaMovedError as exc:
            extra = {"event": "schema_moved", "reason": str(exc)}
            # No traceback: the sentence says all there is.
            logger.error("the tables are not what this worker knows; it stops, nothing is lost", extra=extra)  # noqa: TRY400
            self.outdated.set()
        except Exception:
            logger.exception("a thread of the worker failed; the worker stops", extra={"event": "thread_failed"})
            self.failed.set()
        finally:
            self._stop.set()

    def _leave_group(self) -> None:
        """Take this worker's consumers out of the group, unless something of theirs is still pending."""
        queue = self._queue()
        try:
            have_left = [queue.leave(consumer) for consumer in self._consumers]
        except redis.RedisError as exc:
            have_left = [is_no_group(exc)]
        if not all(have_left):
            self.left_behind.set()
