"""The application: routes, errors, what happens around each request, and what lives as long as the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from api.errors import add_error_handlers
from api.fresh_reader import FreshReader
from api.health.board import HealthBoard
from api.health.dependencies import Dependencies, probing_redis
from api.health.registry import all_checks
from api.middleware import AccessLog, ProtectiveHeaders
from api.page_cursor import CursorCodec
from api.routes import health, log_events, log_sums, logs
from api.settings import ApiSettings
from api.state import ApiState
from log_events.event_queue import EventQueue


class _Lifespan(TypedDict):
    api: ApiState


def create_app(settings: ApiSettings) -> FastAPI:
    """
    The application for *settings*.

    Nothing is opened before its lifespan begins, and nothing but a read replica is connected before the first request:
    it starts although every dependency is away, and says so at /readyz.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[_Lifespan]:
        queue = EventQueue(probing_redis(settings.redis_url))
        reader = FreshReader(
            settings.logs_database_url, settings.logs_read_database_url, settings.logs_read_max_staleness_seconds
        )
        checks = all_checks(has_replica=reader.watch is not None)
        board = HealthBoard(checks, Dependencies(settings, queue, reader.watch))
        try:
            async with reader:
                yield {"api": ApiState(settings, board, reader, _cursors(settings))}
        finally:
            board.close()
            queue.client.close()

    app = FastAPI(
        title="headhunter", summary="Health and logs of the recruiting product's data layer", lifespan=lifespan
    )
    app.add_middleware(ProtectiveHeaders)
    app.add_middleware(AccessLog)
    add_error_handlers(app)
    app.include_router(health.router)
    for router in (logs.router, log_sums.router, log_events.router):
        app.include_router(router)
    return app


def _cursors(settings: ApiSettings) -> CursorCodec:
    """Cursors that all processes with the same token understand; without one the routes that use them are closed."""
    token = settings.admin_token
    return CursorCodec(b"" if token is None else token.get_secret_value().encode())
