"""What to tell about an error of a dependency: a sentence with a cure, never the error's own text."""

import msgspec
import psycopg
import redis

LOGS_DATABASE = "the logs database"
MAIN_DATABASE = "the main database"
READ_REPLICA = "the read replica"
REDIS = "Redis"

_VARIABLES = {
    LOGS_DATABASE: "LOGS_DATABASE_URL",
    MAIN_DATABASE: "DATABASE_URL",
    READ_REPLICA: "LOGS_READ_DATABASE_URL",
    REDIS: "REDIS_URL",
}

# A failed connect carries no SQLSTATE.  Where the server speaks another language the general sentence is used.
_CONNECT_SENTENCES = (
    ("password authentication failed", "{what} refuses the login: correct user and password in {variable}."),
    ("no pg_hba.conf entry", "{what} refuses logins from this host: add it to the server's pg_hba.conf."),
    ("does not exist", "{what} does not exist on its server: create database and role, or correct {variable}."),
    ("too many clients", "{what} has no connection left: raise max_connections or close idle clients."),
    ("remaining connection slots", "{what} has no connection left: raise max_connections or close idle clients."),
    ("starting up", "{what} is starting up: wait, and look at its log if this lasts."),
    ("shutting down", "{what} is shutting down: start it again."),
)
_STATEMENT_SENTENCES: tuple[tuple[type[psycopg.Error], str], ...] = (
    (
        psycopg.errors.QueryCanceled,
        "{what} is too slow to answer this check: look for a blocking lock in pg_stat_activity.",
    ),
    (psycopg.errors.UndefinedTable, "{what} lacks a table: see the check of its schema."),
    (psycopg.errors.UndefinedColumn, "{what} lacks a column: see the check of its schema."),
    (psycopg.errors.InsufficientPrivilege, "{what} refuses its role a right that it needs: see the check of it."),
)
_REDIS_SENTENCES: tuple[tuple[type[redis.RedisError], str], ...] = (
    (redis.AuthenticationError, "Redis refuses the login: correct user and password in REDIS_URL."),
    (
        redis.exceptions.NoPermissionError,
        "Redis refuses its user a command that it needs: widen the ACL of the user in REDIS_URL.",
    ),
    (redis.exceptions.BusyLoadingError, "Redis is loading its data: wait, and look at its log if this lasts."),
)


def no_answer(*whats: str) -> str:
    """The sentence for dependencies of which one is away or silent."""
    variables = " or ".join(_VARIABLES[what] for what in whats)
    return f"{_begin(whats)} does not answer: start it, or correct {variables}, and look at its log."


def sentence_of(error: Exception, *whats: str) -> str | None:
    """
    What to tell about *error*, met while asking *whats* (constants of this module).

    None for an error that says nothing about a dependency: a fault of this program.
    """
    if isinstance(error, psycopg.Error):
        sentence = _of_connection(error) if error.sqlstate is None else _of_statement(error)
        variables = " or ".join(_VARIABLES[what] for what in whats)
        return sentence.format(what=_begin(whats), variable=variables) if sentence else no_answer(*whats)
    if isinstance(error, redis.RedisError):
        return _first(error, _REDIS_SENTENCES) or _of_redis_reply(error) or no_answer(*whats)
    if isinstance(error, msgspec.MsgspecError):
        return (
            "What a worker or producer tells of itself cannot be read: it is of another release; finish the deployment."
        )
    return None


def _of_connection(error: psycopg.Error) -> str | None:
    text = str(error)
    return next((sentence for part, sentence in _CONNECT_SENTENCES if part in text), None)


def _of_statement(error: psycopg.Error) -> str | None:
    if isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.QueryCanceled):
        return None
    return _first(error, _STATEMENT_SENTENCES) or (
        f"{{what}} refused a statement of this check (SQLSTATE {error.sqlstate}): its log has the reason."
    )


def _of_redis_reply(error: redis.RedisError) -> str | None:
    text = str(error)
    if "WRONGTYPE" in text or text.startswith(("NOTLIST", "NOTSTREAM")):
        return (
            "A key of the log queue holds another type: find out who wrote it (OBJECT FREQ, CLIENT LIST), "
            "rename it away, and the queue works again."
        )
    return None


def _first(error: Exception, sentences: tuple[tuple[type[Exception], str], ...]) -> str | None:
    return next((sentence for kind, sentence in sentences if isinstance(error, kind)), None)


def _begin(whats: tuple[str, ...]) -> str:
    text = " or ".join(whats)
    return text[0].upper() + text[1:]
