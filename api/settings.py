"""What the API is told by its environment, read once and checked as a whole."""

from typing import Annotated
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict
from redis.connection import parse_url

from log_events.event_queue import DEFAULT_MAX_BYTES
from logs_db.dead_letter_purge import DEFAULT_MAX_BYTES as DEFAULT_MAX_LETTER_BYTES
from logs_db.migration_settings import PostgresUrl
from logs_db.size_settings import SizeSettings

_REDIS_URL_SHAPE = "redis://:password@host:6379/0 (or rediss://, unix://)"


def _redis_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value().strip()
    try:
        options: dict[str, object] = parse_url(text)  # type: ignore[no-untyped-call]  # redis-py leaves it unannotated
    except ValueError:
        options = {}
    # The parser's own words may quote the password, and it takes a URL without a host for one on this machine.
    if not (options.get("path") or (options and urlsplit(text).hostname)):
        raise ValueError(
            f"is not a Redis URL; write {_REDIS_URL_SHAPE} and percent-encode special characters in the password"
        )
    return SecretStr(text)


def _token(token: SecretStr) -> SecretStr | None:
    # What was read from a file often ends in a newline, which no client can send.
    text = token.get_secret_value().strip()
    return SecretStr(text) if text else None


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]


class ApiSettings(SizeSettings):
    """
    Settings of the API process.

    Each field is read from the environment variable of its name in capitals; an empty variable counts as not set.

    Raises:
        pydantic.ValidationError: All faults together; show its messages, never its inputs, which may hold passwords.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    database_url: PostgresUrl = Field(
        description="The business database, as postgresql://user:password@host:5432/headhunter_db."
    )
    logs_database_url: PostgresUrl = Field(
        description="The logs database, as postgresql://user:password@host:5432/headhunter_logs; never the same one."
    )
    logs_read_database_url: PostgresUrl | None = Field(
        default=None,
        description="A streaming replica of the logs database; logs are read from it while it is fresh enough.",
    )
    logs_read_max_staleness_seconds: float = Field(
        default=10.0,
        ge=1.0,
        le=3600.0,
        description="How old an answer read from the replica may be; where it is older the primary is read.",
    )
    redis_url: RedisUrl = Field(description=f"The Redis that holds the log queue, as {_REDIS_URL_SHAPE}.")
    admin_token: Annotated[SecretStr, AfterValidator(_token)] | None = Field(
        default=None,
        description="Bearer token of the admin routes; without one they answer 503 and are never open.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(
        default=8000, ge=0, le=65535, description="Port that the API listens on; 0 takes a free one and logs it."
    )
    logs_queue_max_bytes: int = Field(
        default=DEFAULT_MAX_BYTES,
        gt=0,
        description="Bytes that the log queue may hold, as the producers have it; health compares the queue with it.",
    )

    dead_letters_max_bytes: int = Field(
        default=DEFAULT_MAX_LETTER_BYTES,
        gt=0,
        description="What dead letters may take, as the workers have it; health compares what they take with it.",
    )

    @field_validator("logs_database_url")
    @classmethod
    def _databases_differ(cls, logs_url: SecretStr, info: ValidationInfo) -> SecretStr:
        main_url = info.data.get("database_url")
        if main_url is not None and _place(main_url) == _place(logs_url):
            raise ValueError("names the same database as DATABASE_URL; logs and business data need one each")
        return logs_url


def _place(url: SecretStr) -> tuple[str, str, str]:
    """Host, port and database of a URL.  Aliases of one host go unseen here; health sees the strange version table."""
    parameters = conninfo_to_dict(url.get_secret_value())
    host = str(parameters.get("host") or parameters.get("hostaddr") or "").lower()
    return host, str(parameters.get("port") or "5432"), str(parameters.get("dbname"))
