"""Reads of the log tables: bounded by time and by rows, newest first, page by page; sums of the rollups alone."""

from logs_db.queries.filters import LlmLogFilter, LogFilter, SystemLogFilter
from logs_db.queries.pages import Stretch, page
from logs_db.queries.statement import PageQuery, Position, Window

__all__ = [
    "LlmLogFilter",
    "LogFilter",
    "PageQuery",
    "Position",
    "Stretch",
    "SystemLogFilter",
    "Window",
    "page",
]
