"""Which error becomes which HTTP status: one table.  The network sees sentences, never an error's own text."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import TooManyRequests
from pydantic import BaseModel, Field

from api.admin import AdminClosedError, AdminTokenError
from api.page_cursor import CursorError
from api.time_window import TimeWindowError
from logs_db.queries.story import EventNotFoundError, TimelessIdError

logger = logging.getLogger(__name__)


class ErrorResponse(BaseModel):
    """The body of every answer that is not a success."""

    detail: str = Field(description="What happened and what to do.")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    detail: str | Callable[[Exception], str]
    headers: Mapping[str, str] = field(default_factory=dict)


def _own_words(error: Exception) -> str:
    return str(error)


def _faults(error: Exception) -> str:
    """One sentence for all faults of a request, by their places; what was sent is not repeated."""
    faults: list[dict[str, Any]] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    return "; ".join(f"{_place(fault)}: {_sentence(fault)}" for fault in faults) + "."


def _place(fault: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in fault["loc"][1:]) or "request"


def _sentence(fault: Mapping[str, Any]) -> str:
    return str(fault["msg"]).removeprefix("Value error, ").rstrip(".")


_ERRORS: Final[dict[type[Exception], _Answer]] = {
    AdminClosedError: _Answer(
        503, "The admin routes are closed, for ADMIN_TOKEN is not set: set it in the API's environment and start again."
    ),
    AdminTokenError: _Answer(
        401,
        "Send the admin token: Authorization: Bearer <value of ADMIN_TOKEN>.",
        {"WWW-Authenticate": 'Bearer realm="headhunter admin"'},
    ),
    CursorError: _Answer(422, _own_words),
    TimeWindowError: _Answer(422, _own_words),
    TimelessIdError: _Answer(422, _own_words),
    EventNotFoundError: _Answer(404, _own_words),
    RequestValidationError: _Answer(422, _faults),
    psycopg.errors.QueryCanceled: _Answer(
        503, "The logs database took too long for this page: give a shorter window, or filters that an index serves."
    ),
    # The statements are ours and tested; a path is the only part of one that a request writes.
    psycopg.errors.SyntaxError: _Answer(
        422, "extra_path is no SQL/JSON path; write for example $.status ? (@ >= 500)."
    ),
    psycopg.DataError: _Answer(
        422, "A value of this query is none that the database can hold or compare: see extra_contains and extra_path."
    ),
    TooManyRequests: _Answer(
        429, "Too many requests read logs at this moment: try again in a second.", {"Retry-After": "1"}
    ),
    psycopg.errors.UndefinedTable: _Answer(
        503, "The logs schema is not at its head: see the admin health's logs_schema."
    ),
    psycopg.errors.UndefinedColumn: _Answer(
        503, "The logs schema is not at its head: see the admin health's logs_schema."
    ),
    psycopg.errors.InsufficientPrivilege: _Answer(
        503, "The API's role may not read the logs: see the admin health's logs_database."
    ),
    psycopg.OperationalError: _Answer(
        503, "The logs database does not answer; nothing is lost: try again, and see the admin health."
    ),
    # This answer is made outside of all middleware, so it brings the protective headers itself.
    Exception: _Answer(
        500,
        "The API failed: its log has the error; please report it.",
        {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    ),
}


def add_error_handlers(app: FastAPI) -> None:
    """Answer each error of the table with its status and sentence."""
    for kind, answer in _ERRORS.items():
        app.add_exception_handler(kind, _handler(answer))


def _handler(answer: _Answer) -> Callable[[Request, Exception], JSONResponse]:
    def handle(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, psycopg.Error):
            logger.warning(
                "the logs database refused a page",
                extra={"event": "page_refused", "error": type(error).__name__, "sqlstate": error.sqlstate},
            )
        detail = answer.detail if isinstance(answer.detail, str) else answer.detail(error)
        return JSONResponse(ErrorResponse(detail=detail).model_dump(), answer.status, dict(answer.headers))

    return handle
