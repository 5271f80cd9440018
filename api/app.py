"""The application: routes, errors, what happens around each request, and what lives as long as the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from api.errors import add_error_handlers
from api.health.board import HealthBoard
from api.health.dependencies import Dependencies, probing_redis
from api.health.registry import all_checks
from api.log_reader import LogReader
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

    Nothing is opened before its lifespan begins, and nothing is connected before the first request: it starts although
    every dependency is away, and says so at /readyz.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[_Lifespan]:
        queue = EventQueue(probing_redis(settings.redis_url))
        board = HealthBoard(all_checks(), Dependencies(settings, queue))
        reader = LogReader(settings.logs_database_url)
        await reader.open()
        try:
            yield {"api": ApiState(settings, board, reader, _cursors(settings))}
        finally:
            await reader.close()
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
