"""What a monitor and a back office do all day: ask the API for its health, and the business database for counts."""

import http.client
import logging
from threading import Event
from urllib.parse import urlsplit

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from main_db.models import MainBase
from migrator.urls import engine_url

_EVERY_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_HEALTH = "/api/v1/admin/health"

logger = logging.getLogger(__name__)


def monitor(api_url: str, token: str, database_url: str, stop: Event) -> None:
    """Ask once a second until *stop* is set; the loggers of uvicorn and SQLAlchemy tell of it."""
    engine = create_engine(engine_url(database_url), pool_size=1)
    try:
        while not stop.wait(_EVERY_SECONDS):
            try:
                _ask_health(api_url, token)
                _count_rows(engine)
            except (OSError, http.client.HTTPException, SQLAlchemyError) as error:
                logger.warning("An answer is missing", extra={"event": "answer_missed", "why": type(error).__name__})
    finally:
        engine.dispose()


def _ask_health(api_url: str, token: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(api_url).netloc, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", _HEALTH, headers={"Authorization": f"Bearer {token}"})
        connection.getresponse().read()
    finally:
        connection.close()


def _count_rows(engine: Engine) -> None:
    with engine.connect() as connection:
        for table in MainBase.metadata.sorted_tables:
            connection.execute(select(func.count()).select_from(table))
