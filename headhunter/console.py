"""What a process of ours writes to its standard error: one line a record."""

import json
import logging
import os
import sys
import time
from typing import TextIO

from headhunter.redaction import HIDDEN, is_secret, without_passwords

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "event"}
_FOREIGN_FIELDS = frozenset({"color_message"})  # uvicorn's second copy of its message
_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class LineFormatter(logging.Formatter):
    """
    `2026-01-31T12:00:00.000Z INFO worker.run schema_upgraded Brought the schema to its head revision=ab12`.

    The record's `event` and the other fields of `extra` stand beside the constant message.  Passwords are hidden
    wherever they may have got in.  With *colour*, for a terminal, a traceback keeps its lines; elsewhere it is folded
    into the record's one line.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        head = f"{moment}.{int(record.msecs):03d}Z {self._level(record.levelname)} {record.name}"
        event = getattr(record, "event", None)
        parts = [head, *([str(event)] if event else []), record.getMessage(), *self._fields(record)]
        line = without_passwords(" ".join(parts).replace("\r", "\\r").replace("\n", "\\n"))
        if not record.exc_info:
            return line
        trace = without_passwords(self.formatException(record.exc_info))
        return f"{line}\n{trace}" if self._colour else f"{line} traceback={json.dumps(trace, ensure_ascii=False)}"

    def _level(self, name: str) -> str:
        code = _COLOURS.get(name) if self._colour else None
        return f"\x1b[{code}m{name}\x1b[0m" if code else name

    def _fields(self, record: logging.LogRecord) -> list[str]:
        fields = record.__dict__
        names = [name for name in fields if name not in _STANDARD_FIELDS and name not in _FOREIGN_FIELDS]
        return [f"{name}={HIDDEN if is_secret(name) else _shown(fields[name])}" for name in names]


def _shown(value: object) -> str:
    text = str(round(value, 6) if isinstance(value, float) else value)
    plain = text and not any(character.isspace() or character in '"=' for character in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def set_up_logging(level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """
    Send the records of all loggers, from *level* on, to *stream* (standard error), one line each.

    Colours only on a terminal, and never where NO_COLOR is set.  Handlers that were there before are replaced.
    """
    stream = stream or sys.stderr
    colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(colour=colour))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
