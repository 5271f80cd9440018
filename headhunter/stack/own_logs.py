"""In a demo the libraries' own log records are events too: real ones, from the processes that run anyway."""

import atexit
import logging
from pathlib import Path

from headhunter.stack.tally import write_tally
from log_events.log_handler import LogHandler
from log_events.producer import Producer, default_producer

#: With the API's own lines about requests, which stand in for those that uvicorn would write.
LOGGERS = ("uvicorn", "api", "sqlalchemy", "alembic")


def send_own_logs(service: str) -> Producer:
    """Send what those loggers say in this process through the queue that REDIS_URL names; return who sends it."""
    producer = default_producer()
    handler = LogHandler(producer=producer, service=service)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    return producer


def send_and_tally_own_logs(service: str, tally_folder: Path) -> None:
    """Do that, and write to *tally_folder* how many events were accepted when the process ends."""
    atexit.register(write_tally, tally_folder, send_own_logs(service))
