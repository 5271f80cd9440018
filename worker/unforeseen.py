"""What nobody foresaw while one event was read: that event's end and a word in the log, never the end of a lane."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from worker.entry import Entry
from worker.verdicts import Reason, RejectedError

logger = logging.getLogger(__name__)


@contextmanager
def rejected_if_unforeseen(entry: Entry, reason: Reason) -> Iterator[None]:
    """
    Make any error of the body, but its own verdicts, a rejection for *reason*, and tell it without the event's content.

    Raises:
        RejectedError: As the body raised it, or instead of what it raised.
        MemoryError: As the body raised it: the machine's trouble condemns no event.
    """
    try:
        yield
    except (RejectedError, MemoryError):
        raise
    except Exception as exc:
        name, place = type(exc).__name__, traceback.extract_tb(exc.__traceback__)[-1]
        extra = {
            "event": "event_unreadable",
            "entry_id": entry.id.decode(errors="replace"),
            "error": name,
            "place": f"{place.name}:{place.lineno}",
        }
        # No traceback: the error's text may hold what the event does.
        logger.warning("the worker failed at an event and keeps it as a dead letter; report it", extra=extra)
        raise RejectedError(reason, f"the worker failed at it with {name}") from exc
