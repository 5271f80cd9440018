"""
Starts one pass of retention for each line that it reads, and lets it be killed.

``python -m benchmarks.archives.nursery DATABASE_URL ARCHIVE``; a line is a name of `POINTS`, a number of milliseconds
after which the pass is killed wherever it is, or ``never``.  What it answers is the pass's exit code, -9 where it was
killed, and how many seconds it took.  Each pass is a fork, so that the packages are imported only once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from logs_db import detachment, retention
from logs_db.archive import archiving, extra, verification
from logs_db.retention_plan import Retention

KEPT = Retention(system_logs=30)
Step = Callable[..., Any]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_once(_: Step) -> Step:
    return lambda *_, **__: _kill()


def _afterwards(step: Step) -> Step:
    def killed(*arguments: Any, **options: Any) -> None:
        step(*arguments, **options)
        _kill()

    return killed


def _amid(step: Step) -> Step:
    def killed(*arguments: Any, **options: Any) -> Iterator[bytes]:
        yield next(step(*arguments, **options))
        _kill()

    return killed


POINTS: dict[str, tuple[Any, str, Callable[[Step], Step]]] = {
    "amid the reading of the table": (archiving, "read_pieces", _amid),
    "after the table was read": (archiving, "write_file", _afterwards),
    "after the upload": (archiving, "verify", _at_once),
    "amid the verification": (verification, "read_digest", _afterwards),
    "after the verification": (archiving, "write_manifest", _at_once),
    "after the manifest": (archiving, "write_manifest", _afterwards),
    "after the account": (archiving._Work, "record", _afterwards),  # noqa: SLF001 - a point amid its work
    "before the drop": (detachment, "drop", _at_once),
    "before the drop is committed": (detachment, "drop", _afterwards),
}
"""Which step of the work is replaced by one that kills: at once, afterwards, or amid it."""


def main() -> None:
    url, archive = sys.argv[1:]
    for module in ("pyarrow.csv", "pyarrow.parquet", "pyarrow.compute"):
        extra.load(module)
    for line in sys.stdin:
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            with _ended():
                _work(url, archive, line.strip())
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), time.monotonic() - begun, flush=True)


@contextmanager
def _ended() -> Iterator[None]:
    """End the fork whatever happens, and never come back into the nursery's own loop."""
    try:
        yield
    except BaseException:  # noqa: BLE001 - told, then the process ends
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _work(url: str, archive: str, moment: str) -> None:
    if moment in POINTS:
        owner, name, killing = POINTS[moment]
        setattr(owner, name, killing(getattr(owner, name)))
    elif moment != "never":
        timer = threading.Timer(float(moment) / 1000, _kill)
        timer.daemon = True
        timer.start()
    with psycopg.connect(url, autocommit=True) as connection:
        report = retention.run(connection, KEPT, before_drop=archiving.hook(connection, archive))
    for obstacle in report.obstacles:
        print(obstacle, file=sys.stderr)


if __name__ == "__main__":
    main()
