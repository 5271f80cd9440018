"""
What an error means for whoever got it: try again, wait, read again, or give up.

The table of SQLSTATEs is the code below. A failed connect has no SQLSTATE in psycopg, not even a wrong password: there
the text of the server's FATAL decides, and a text that is not known counts as passing, because waiting for a server
that will never answer costs seconds, while giving up on one that is just starting costs a person's attention.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg

from migrator.errors import LockLostError, MigratorError, TemporaryError, VersionMovedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ErrorClass(StrEnum):
    """What to do about an error."""

    CONNECT_TRANSIENT = "connect-transient"
    """The server or the connection is away: connect again, within the budget for that."""
    LOCK_TRANSIENT = "lock-transient"
    """Others stood in the way: roll back, pause, do the same again."""
    PEER = "peer"
    """Another migrator has the lock, or took it over: wait for it."""
    LOST_RACE = "lost race"
    """Another migrator did it first: read the revision on a new connection; unmoved means permanent."""
    SCHEMA_MOVED = "schema moved"
    """The tables changed under a writer: stop writing, condemn no data, read revision and floor."""
    NO_PARTITION = "no partition"
    """No partition for the row's time: make it if the time is acceptable, then write again."""
    AHEAD = "ahead"
    """The database is at a revision that this code does not know: its floor decides."""
    PERMANENT = "permanent"
    """Trying again will not help."""


_BY_SQLSTATE = {
    "08P01": ErrorClass.PERMANENT,  # protocol violation: see also _POOLER_TROUBLE and the writer's table
    "25006": ErrorClass.CONNECT_TRANSIENT,  # read-only: a standby, after a failover perhaps the primary
    "25P03": ErrorClass.CONNECT_TRANSIENT,  # idle in transaction time-out: the session was ended
    "25P04": ErrorClass.CONNECT_TRANSIENT,  # transaction time-out: the session was ended
    "40001": ErrorClass.LOCK_TRANSIENT,
    "40003": ErrorClass.CONNECT_TRANSIENT,  # whether it was done is unknown
    "40P01": ErrorClass.LOCK_TRANSIENT,
    "42701": ErrorClass.LOST_RACE,  # duplicate column
    "42710": ErrorClass.LOST_RACE,  # duplicate object
    "42P06": ErrorClass.LOST_RACE,  # duplicate schema
    "42P07": ErrorClass.LOST_RACE,  # duplicate table
    "53400": ErrorClass.PERMANENT,  # a configured limit
    "55P03": ErrorClass.LOCK_TRANSIENT,
    "57P01": ErrorClass.CONNECT_TRANSIENT,
    "57P02": ErrorClass.CONNECT_TRANSIENT,
    "57P03": ErrorClass.CONNECT_TRANSIENT,
    "57P05": ErrorClass.CONNECT_TRANSIENT,
}
# Looked up only where the whole SQLSTATE says nothing.
_BY_SQLSTATE_CLASS = {
    "08": ErrorClass.CONNECT_TRANSIENT,
    "53": ErrorClass.CONNECT_TRANSIENT,  # out of connections, memory, disk: it passes, or an operator sees to it
}
_WRITER_SQLSTATES = re.compile(r"08P01|22P03|22P04|42...")
# Unique indexes of the catalogs, and of Alembic's version tables, are hit only by two migrators at once.
_RACED_CONSTRAINT = re.compile(r"pg_\w+_index|\w+_pkc")
_RACED_TEXT = re.compile(r"tuple concurrently (updated|deleted)")
_QUOTED = re.compile('["\u201c\u201e\u00ab].*["\u201d\u201c\u00bb]', re.DOTALL)
_RACED_VERSION = re.compile(r"Online migration expected to match one row")

# pgbouncer reports its own troubles with SQLSTATE 08P01.
_POOLER_TROUBLE = re.compile(
    r"server conn crashed|query_wait_timeout|cannot connect to server|server login has been failing|"
    r"pooler is shutting down|shutting down|no more connections allowed|server_login_retry|disconnected"
)
#: What the server, libpq or a pooler says when trying to connect again will not help.
PERMANENT_CONNECT_TEXTS = tuple(
    map(
        re.compile,
        (
            r"password authentication failed for user",
            r"(Ident|Peer|LDAP|PAM|RADIUS|GSSAPI|certificate|Cert|BSD) authentication failed for user",
            r"no password supplied",
            r"no pg_hba\.conf entry",
            r"pg_hba\.conf rejects connection",
            r'role "[^"]*" does not exist',
            r'role "[^"]*" is not permitted to log in',
            r'database "[^"]*" does not exist',
            r"permission denied for database",
            r"no such (database|user)",
            r"unsupported startup parameter",
            r"unrecognized configuration parameter",
            r"invalid value for parameter",
            r"server does not support SSL, but SSL was required",
            r"certificate verify failed",
            r"root certificate file .* does not exist",
            r"server certificate for .* does not match host name",
            r"invalid (connection option|port number|integer value|sslmode value|channel_binding value)",
        ),
    )
)


def classify(error: BaseException, *, writing: bool = False) -> ErrorClass:
    """
    Tell what *error* means: one of psycopg, SQLAlchemy, Alembic or this package, or one that carries such a cause.

    Args:
        error: What was caught.
        writing: It came out of a COPY or another write of rows by code that did not itself change any table.
    """
    for link in _chain(error):
        found = _classify_one(link, writing=writing)
        if found is not None:
            return found
    return ErrorClass.PERMANENT


def sentence(error: BaseException, *, without_rows: bool = False) -> str:
    """
    Return what the server said, else what the error says, as one line; PostgreSQL never echoes passwords.

    It does echo values of the row that it stumbled over: *without_rows* leaves those out, for what others may read.
    """
    for link in _chain(error):
        if isinstance(link, psycopg.Error):
            # Without a diagnosis it is a failed connect, whose further lines ask questions.
            said = link.diag.message_primary or str(link).partition("\n")[0].removeprefix("connection failed: ")
            detail = link.diag.message_detail or ""
            if without_rows and (state := link.sqlstate or "").startswith(("22", "23", "44")):
                # What is wrong with a value quotes it; what breaks a constraint quotes the constraint's name.
                said, detail = _QUOTED.sub('"..."', said) if state < "23" else said, ""
            return " ".join(f"{said} {detail}".split()).rstrip(".")
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from; SQLAlchemy keeps the driver's error as its cause."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _classify_one(error: BaseException, *, writing: bool) -> ErrorClass | None:
    if isinstance(error, psycopg.Error):
        return _classify_psycopg(error, writing=writing)
    if isinstance(error, MigratorError):
        return _classify_own(error)
    # Alembic's errors are told by name, so that a process that never migrates need not import it.
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ResolutionError" in names:
        return ErrorClass.AHEAD
    if "CommandError" in names and _RACED_VERSION.search(str(error)):
        return ErrorClass.LOST_RACE
    if isinstance(error, ConnectionError | TimeoutError):
        return ErrorClass.CONNECT_TRANSIENT
    return None


def _classify_own(error: MigratorError) -> ErrorClass:
    if isinstance(error, VersionMovedError):
        return ErrorClass.LOST_RACE
    if isinstance(error, LockLostError):
        return ErrorClass.PEER
    return ErrorClass.CONNECT_TRANSIENT if isinstance(error, TemporaryError) else ErrorClass.PERMANENT


def _classify_psycopg(error: psycopg.Error, *, writing: bool) -> ErrorClass:
    sqlstate = error.sqlstate
    if sqlstate is None:
        return _classify_connect(error)
    if sqlstate == "08P01" and _POOLER_TROUBLE.search(str(error)):
        return ErrorClass.CONNECT_TRANSIENT
    if writing and _WRITER_SQLSTATES.fullmatch(sqlstate):
        return ErrorClass.SCHEMA_MOVED
    if sqlstate == "23514" and error.diag.constraint_name is None and error.diag.table_name is not None:
        # A trigger that raises the same SQLSTATE names no table.
        return ErrorClass.NO_PARTITION
    if _is_lost_race(sqlstate, error):
        return ErrorClass.LOST_RACE
    return _BY_SQLSTATE.get(sqlstate) or _BY_SQLSTATE_CLASS.get(sqlstate[:2], ErrorClass.PERMANENT)


def _is_lost_race(sqlstate: str, error: psycopg.Error) -> bool:
    if sqlstate == "23505":
        return _RACED_CONSTRAINT.fullmatch(error.diag.constraint_name or "") is not None
    return sqlstate == "XX000" and _RACED_TEXT.search(str(error)) is not None


def _classify_connect(error: psycopg.Error) -> ErrorClass:
    if not isinstance(error, psycopg.OperationalError):
        return ErrorClass.PERMANENT
    is_permanent = any(pattern.search(str(error)) for pattern in PERMANENT_CONNECT_TEXTS)
    return ErrorClass.PERMANENT if is_permanent else ErrorClass.CONNECT_TRANSIENT
