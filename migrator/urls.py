"""PostgreSQL URLs: checked without ever showing the password, and turned into what each library wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from sqlalchemy import URL

_HIGHEST_PORT = 65535
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


def checked_postgres_url(text: str) -> str:
    """
    Return *text* as a `postgresql://` URL that names a database.

    Raises:
        ValueError: It is not one. The sentence says why and never contains the password.
    """
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("is not a URL; write postgresql://user:password@host:5432/database")
    if scheme.lower() not in _SCHEMES:
        raise ValueError("does not begin with postgresql://, the only kind that is understood here")
    url = f"postgresql://{rest}"
    try:
        parameters = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        # libpq quotes the part it stumbled over, which may be the password.
        raise ValueError(
            "is not a valid postgresql:// URL; write postgresql://user:password@host:5432/database and "
            "percent-encode special characters in user and password, as %40 for @"
        ) from None
    if not all(_is_port(port) for port in str(parameters.get("port") or "5432").split(",")):
        raise ValueError("has a port that is no number from 1 to 65535")
    if not parameters.get("dbname"):
        raise ValueError("names no database; write postgresql://user:password@host:5432/database")
    return url


def engine_url(text: str) -> URL:
    """
    Return *text*, a PostgreSQL URL, as SQLAlchemy's URL for psycopg 3.

    Raises:
        ValueError: It is not a PostgreSQL URL; the password is not shown.
    """
    from sqlalchemy import URL  # noqa: PLC0415 - whoever only probes does not pay for importing it

    parameters = dict(conninfo_to_dict(checked_postgres_url(text)))
    named = {name: parameters.pop(name, None) for name in ("user", "password", "dbname")}
    return URL.create(
        "postgresql+psycopg",
        username=_text(named["user"]),
        password=_text(named["password"]),
        database=_text(named["dbname"]),
        query={name: str(value) for name, value in parameters.items() if value is not None},
    )


def without_password(text: str) -> str:
    """Return user, host and database of a URL, for messages: `app@db.example:5432/logs`."""
    try:
        parameters = conninfo_to_dict(text)
    except (psycopg.Error, UnicodeError):
        return f"{text.partition('://')[0]}://..." if "://" in text else "..."
    host = parameters.get("host") or parameters.get("hostaddr") or "the local socket"
    port = f":{parameters['port']}" if parameters.get("port") else ""
    user = f"{parameters['user']}@" if parameters.get("user") else ""
    return f"{user}{host}{port}/{parameters.get('dbname', '')}"


def _is_port(text: str) -> bool:
    # An empty one, in a list of several, is the default.
    return not text or (text.isascii() and text.isdigit() and 0 < int(text) <= _HIGHEST_PORT)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
