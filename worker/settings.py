"""What a worker is told by its environment, read once."""

from typing import Annotated

import redis
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from log_events.event_queue import DEFAULT_MAX_BYTES
from logs_db.dead_letter_purge import DEFAULT_MAX_BYTES as DEFAULT_MAX_LETTER_BYTES
from logs_db.migration_settings import MigrationSettings, PostgresUrl
from logs_db.retention_settings import RetentionSettings


def _redis_url(value: SecretStr) -> SecretStr:
    try:
        redis.connection.parse_url(value.get_secret_value())  # type: ignore[no-untyped-call]  # as shipped
    except ValueError:
        raise ValueError("is not a Redis URL; write redis://user:password@host:6379/0") from None
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]


class WorkerSettings(RetentionSettings, MigrationSettings):
    """The environment of a worker.  Faults are reported all together and never show a value."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    logs_database_url: PostgresUrl = Field(
        description="The logs database: `postgresql://user:password@host:5432/name`."
    )
    redis_url: RedisUrl = Field(description="The Redis or Valkey that holds the log queue: `redis://host:6379/0`.")
    log_thread_pool_size: int = Field(default=2, ge=1, le=64, description="How many threads write batches.")
    logs_queue_max_bytes: int = Field(
        default=DEFAULT_MAX_BYTES, ge=1024 * 1024, description="How many bytes the queue's stream may hold."
    )
    logs_worker_stop_seconds: float = Field(
        default=25.0,
        gt=0,
        description="How long a worker told to stop may finish what it has in hand; less than its supervisor waits.",
    )
    dead_letter_retention_days: int = Field(
        default=30, ge=1, description="How long dead letters are kept since they were last set aside."
    )
    dead_letters_max_bytes: int = Field(
        default=DEFAULT_MAX_LETTER_BYTES,
        ge=1024 * 1024,
        description="What dead letters may take; beyond, those that were replayed are let go early, and no other ever.",
    )

    @property
    def database_url(self) -> str:
        """URL for writing rows."""
        return self.logs_database_url.get_secret_value()

    @property
    def maintenance_url(self) -> str:
        """URL for migrations and maintenance."""
        return (self.logs_migration_database_url or self.logs_database_url).get_secret_value()
