"""Connections as this package needs them: quick to notice a dead peer, clean, and in UTC."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

# A dead server or a dropped NAT entry is noticed within half a minute, not after two hours.
KEEPALIVES: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "connect_timeout": 10,
}
_OPTIONS_REFUSED = "unsupported startup parameter"


def connect(
    url: str,
    *,
    application_name: str,
    autocommit: bool = False,
    settings: Mapping[str, str] | None = None,
) -> psycopg.Connection:
    """
    Return a new connection with keepalives, in UTC and with *settings* for the whole session.

    Settings travel in the start-up packet, beside those of the URL or PGOPTIONS, so that no statement has to be run.
    A pooler that refuses them gets a second try without; what must hold then has to be set inside each transaction.

    Raises:
        psycopg.OperationalError: The server could not be reached or refused the login.
    """
    given = conninfo_to_dict(url)
    arguments: dict[str, Any] = {name: value for name, value in KEEPALIVES.items() if name not in given}
    arguments |= {"application_name": application_name, "autocommit": autocommit, "prepare_threshold": None}
    theirs = given.get("options") or os.environ.get("PGOPTIONS") or ""
    options = f"{theirs} {startup_options({'TimeZone': 'UTC', **(settings or {})})}".strip()
    try:
        return psycopg.connect(url, options=options, **arguments)
    except psycopg.OperationalError as error:
        if _OPTIONS_REFUSED not in str(error):
            raise
    return psycopg.connect(url, **arguments)


def startup_options(settings: Mapping[str, str]) -> str:
    """Return *settings* in the form that PostgreSQL's start-up parameter `options` takes."""
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def migration_engine(url: str, *, application_name: str, settings: Mapping[str, str]) -> Engine:
    """
    Return an engine without a pool: a pooled connection could come back with a session lock still held.

    The URL is handed to libpq as it is, so whatever libpq understands works.
    """
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - whoever only probes does not pay for it

    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url, application_name=application_name, settings=settings),
        poolclass=NullPool,
    )
