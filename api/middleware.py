"""What happens around every request: one line in the log, and headers that keep answers where they belong."""

import logging
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

ADMIN_PREFIX: Final = "/api/v1/admin"
_PROBES: Final = frozenset({"/livez", "/readyz"})


class AccessLog:
    """One line a request: method, path, status, milliseconds.  Never the query, which may name people."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            _log(scope, status, time.monotonic() - began)


def _log(scope: Scope, status: int, seconds: float) -> None:
    # Probes come every few seconds, from every balancer.
    level = logging.DEBUG if scope["path"] in _PROBES else logging.INFO
    logger.log(
        level,
        "request answered",
        extra={
            "event": "request_answered",
            "method": scope["method"],
            # As it came, still percent-encoded: no client can write a line of its own into the log.
            "path": (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1"),
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
        },
    )


class ProtectiveHeaders:
    """No guessing of content types anywhere, no copies of admin answers in any cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to its answer's headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                if scope["path"].startswith(ADMIN_PREFIX):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)
