"""``headhunter worker``."""

import sys

from headhunter.console import set_up_logging


def worker() -> None:
    """
    Bring the logs schema to its head, then move events from Redis into it until SIGTERM or Ctrl-C.

    Needs LOGS_DATABASE_URL and REDIS_URL. Ends with 0 when told to stop, with 70 where starting again will not help,
    and with 75 where it will: have it started again then.
    """
    from worker.run import run  # noqa: PLC0415  (help and faults need not wait for it)
    from worker.settings import WorkerSettings  # noqa: PLC0415  (likewise)

    set_up_logging()
    sys.exit(run(WorkerSettings()))
