"""In a demo the libraries' own log records are events too: real ones, from the processes that run anyway."""

import atexit
import logging
from pathlib import Path

#: With the API's own lines about requests, which stand in for those that uvicorn would write.
LOGGERS = ("uvicorn", "api", "sqlalchemy", "alembic")


def send_own_logs(tally_folder: Path, service: str) -> None:
    """
    Send what uvicorn, SQLAlchemy and Alembic log in this process through the queue that REDIS_URL names.

    When the process ends it writes to *tally_folder* how many events were accepted.
    """
    from headhunter.stack.tally import write_tally  # noqa: PLC0415  (only a demo pays for these)
    from log_events.log_handler import LogHandler  # noqa: PLC0415
    from log_events.producer import default_producer  # noqa: PLC0415

    producer = default_producer()
    handler = LogHandler(producer=producer, service=service)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    atexit.register(write_tally, tally_folder, producer)
