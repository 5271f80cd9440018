"""The table of errors and what each means, row by row; integration/test_migrator_errors.py meets the real ones."""

import psycopg
import pytest
from alembic.script.revision import MultipleHeads, ResolutionError
from alembic.util import CommandError
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from migrator.classifier import ErrorClass, classify, sentence
from migrator.errors import LockLostError, PermanentError, TemporaryError, VersionMovedError

CONNECT = ErrorClass.CONNECT_TRANSIENT
LOCK = ErrorClass.LOCK_TRANSIENT
RACE = ErrorClass.LOST_RACE
MOVED = ErrorClass.SCHEMA_MOVED
PERMANENT = ErrorClass.PERMANENT


@pytest.mark.parametrize(
    ("sqlstate", "expected", "while_writing"),
    [
        ("08000", CONNECT, CONNECT),
        ("08003", CONNECT, CONNECT),
        ("08006", CONNECT, CONNECT),
        ("08P01", PERMANENT, MOVED),
        ("0A000", PERMANENT, PERMANENT),
        ("22001", PERMANENT, PERMANENT),
        ("22P03", PERMANENT, MOVED),
        ("22P04", PERMANENT, MOVED),
        ("23502", PERMANENT, PERMANENT),
        ("23505", PERMANENT, PERMANENT),
        ("25001", PERMANENT, PERMANENT),
        ("25006", CONNECT, CONNECT),
        ("25P03", CONNECT, CONNECT),
        ("25P04", CONNECT, CONNECT),
        ("28000", PERMANENT, PERMANENT),
        ("28P01", PERMANENT, PERMANENT),
        ("3D000", PERMANENT, PERMANENT),
        ("40001", LOCK, LOCK),
        ("40P01", LOCK, LOCK),
        ("40003", CONNECT, CONNECT),
        ("42501", PERMANENT, MOVED),
        ("42601", PERMANENT, MOVED),
        ("42701", RACE, MOVED),
        ("42703", PERMANENT, MOVED),
        ("42710", RACE, MOVED),
        ("42P01", PERMANENT, MOVED),
        ("42P06", RACE, MOVED),
        ("42P07", RACE, MOVED),
        ("53100", CONNECT, CONNECT),
        ("53200", CONNECT, CONNECT),
        ("53300", CONNECT, CONNECT),
        ("53400", PERMANENT, PERMANENT),
        ("55P03", LOCK, LOCK),
        ("55P04", PERMANENT, PERMANENT),
        ("57014", PERMANENT, PERMANENT),
        ("57P01", CONNECT, CONNECT),
        ("57P02", CONNECT, CONNECT),
        ("57P03", CONNECT, CONNECT),
        ("57P05", CONNECT, CONNECT),
        ("XX000", PERMANENT, PERMANENT),
    ],
)
def test_an_sqlstate_decides(sqlstate: str, expected: ErrorClass, while_writing: ErrorClass) -> None:
    error = psycopg.errors.lookup(sqlstate)("of the server")

    assert classify(error) is expected
    assert classify(error, writing=True) is while_writing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('FATAL:  password authentication failed for user "app"', PERMANENT),
        ('FATAL:  Peer authentication failed for user "app"', PERMANENT),
        ("fe_sendauth: no password supplied", PERMANENT),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app", database "logs", no encryption', PERMANENT),
        ('FATAL:  role "app" does not exist', PERMANENT),
        ('FATAL:  role "app" is not permitted to log in', PERMANENT),
        ('FATAL:  database "logs" does not exist', PERMANENT),
        ('FATAL:  permission denied for database "logs"', PERMANENT),
        ("server does not support SSL, but SSL was required", PERMANENT),
        ("SSL error: certificate verify failed", PERMANENT),
        ('root certificate file "/home/app/.postgresql/root.crt" does not exist', PERMANENT),
        ("FATAL:  no such database: logs", PERMANENT),
        ('FATAL:  invalid value for parameter "TimeZone": "Nowhere"', PERMANENT),
        ("Connection refused\n\tIs the server running on that host?", CONNECT),
        ("FATAL:  the database system is starting up", CONNECT),
        ("FATAL:  the database system is shutting down", CONNECT),
        ("FATAL:  the database system is not yet accepting connections", CONNECT),
        ("FATAL:  sorry, too many clients already", CONNECT),
        ('FATAL:  too many connections for role "app"', CONNECT),
        ("connection timeout expired", CONNECT),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", CONNECT),
        ("server closed the connection unexpectedly", CONNECT),
        ("the connection is closed", CONNECT),
        ("ein Text, den niemand kennt", CONNECT),
    ],
)
def test_the_text_of_a_failed_connect_decides_and_an_unknown_one_is_passing(text: str, expected: ErrorClass) -> None:
    assert classify(psycopg.OperationalError(f"connection failed: {text}")) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.InterfaceError("the cursor is closed"), PERMANENT),
        (psycopg.ProgrammingError("invalid dsn"), PERMANENT),
        (psycopg.errors.lookup("08P01")("server conn crashed?"), CONNECT),
        (psycopg.errors.lookup("08P01")("query_wait_timeout"), CONNECT),
        (psycopg.errors.lookup("XX000")("tuple concurrently updated"), RACE),
        (CommandError("Online migration expected to match one row when updating 'a' to 'b' in 'v'; 0 found"), RACE),
        (CommandError("Can't locate revision identified by 'x'"), PERMANENT),
        (MultipleHeads(("a", "b"), "head"), PERMANENT),
        (ConnectionResetError("by peer"), CONNECT),
        (TimeoutError("too late"), CONNECT),
        (VersionMovedError("moved"), RACE),
        (LockLostError("lost"), ErrorClass.PEER),
        (TemporaryError("later"), CONNECT),
        (PermanentError("never"), PERMANENT),
        (AttributeError("a bug"), PERMANENT),
    ],
)
def test_other_errors_are_told_by_kind_and_text(error: Exception, expected: ErrorClass) -> None:
    assert classify(error) is expected


def test_a_database_ahead_is_told_by_what_the_command_error_came_from() -> None:
    error = CommandError("Can't locate revision identified by 'x'")
    error.__cause__ = ResolutionError("No such revision or branch 'x'", "x")

    assert classify(error) is ErrorClass.AHEAD


@pytest.mark.parametrize(
    ("wrapper", "sqlstate", "expected"),
    [(OperationalError, "55P03", LOCK), (ProgrammingError, "42P07", RACE), (IntegrityError, "23503", PERMANENT)],
)
def test_sqlalchemy_errors_are_told_by_the_driver_error_they_came_from(
    wrapper: type[OperationalError], sqlstate: str, expected: ErrorClass
) -> None:
    wrapped, error = wrapper("SELECT 1", {}, None), RuntimeError("a revision failed")
    wrapped.__cause__ = psycopg.errors.lookup(sqlstate)("of the server")
    error.__cause__ = wrapped

    assert classify(wrapped) is expected
    assert classify(error) is expected


def test_a_chain_of_causes_that_ends_in_itself_ends() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first

    assert classify(first) is PERMANENT


def test_the_sentence_is_one_line_without_questions_and_without_the_full_stop() -> None:
    error = psycopg.OperationalError("connection failed: Connection refused\n\tIs the server running on that host?")

    assert sentence(error) == "Connection refused"
    assert sentence(ValueError("a\n  b.")) == "a b"
    assert sentence(KeyError()) == "KeyError"
