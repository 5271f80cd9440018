"""Serves the application with uvicorn until it is told to stop."""

import errno
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import uvicorn

from api.app import create_app
from api.settings import ApiSettings

logger = logging.getLogger(__name__)

GRACEFUL_SECONDS: Final = 10
"""What requests in hand get to end when the process is told to stop."""
EXIT_SETTINGS: Final = 2
EXIT_PERMANENT: Final = 70
EXIT_TEMPORARY: Final = 75


class _Server(uvicorn.Server):
    """Says where it listens once it does; with port 0 nobody could know otherwise."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            logger.info("the API listens", extra={"event": "api_started", "url": _url(sockets[0])})


def run(settings: ApiSettings) -> int:
    """
    Serve until SIGTERM or SIGINT; requests in hand are ended first.  Return the exit code of the process.

    0: told to stop.  2: the address cannot be listened on.  70: it did not start.  75: the port is taken; try again.
    """
    try:
        listener = _listener(settings.api_host, settings.api_port)
    except OSError as exc:
        logger.error(  # noqa: TRY400 - the sentence says it all
            "the API cannot listen: choose another API_HOST or API_PORT, or stop what listens there",
            extra={
                "event": "api_refused_address",
                "host": settings.api_host,
                "port": settings.api_port,
                "reason": exc.strerror or str(exc),
            },
        )
        return EXIT_TEMPORARY if exc.errno == errno.EADDRINUSE else EXIT_SETTINGS
    config = uvicorn.Config(
        create_app(settings),
        lifespan="on",
        # Lines about requests are ours, with the fields that we want; the rest goes where all loggers go.
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        server_header=False,
    )
    server = _Server(config)
    with listener, _told_to_stop(server):
        try:
            server.run([listener])
        except SystemExit:
            # Uvicorn's way to say that the application did not start; it has logged why.
            return EXIT_PERMANENT
    logger.info("the API has stopped", extra={"event": "api_stopped"})
    return 0


def _listener(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _told_to_stop(server: uvicorn.Server) -> Iterator[None]:
    """
    Make SIGTERM and SIGINT stop the server, and nothing more.

    Uvicorn sends itself the signal again when it has stopped, for handlers such as these: without them that would end
    the process with the signal instead of an exit code.
    """

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
