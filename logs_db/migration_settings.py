"""Where the logs database is changed, and how long that may wait, as every process that changes it is told."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from logs_db.retention_settings import empty_is_unset
from migrator.budgets import Budgets
from migrator.urls import checked_postgres_url


def _postgres_url(value: SecretStr) -> SecretStr:
    return SecretStr(checked_postgres_url(value.get_secret_value()))


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
OptionalPostgresUrl = Annotated[PostgresUrl | None, BeforeValidator(empty_is_unset)]


class MigrationSettings(BaseSettings):
    """The LOGS_MIGRATION_ variables.  Faults never show a value."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    logs_migration_database_url: OptionalPostgresUrl = Field(
        default=None, description="The logs database past any pooler, as its owner: for migrations and maintenance."
    )
    logs_migration_attempts: int = Field(
        default=5, ge=1, description="How often a starting worker tries to reach the logs database."
    )
    logs_migration_delay_seconds: float = Field(default=2.0, ge=0, description="The pause between two such tries.")
    logs_migration_peer_seconds: float = Field(
        default=600.0, ge=0, description="How long a starting worker waits for another one that is migrating."
    )
    logs_migration_lock_timeout_seconds: float = Field(
        default=4.0, gt=0, description="How long one statement of a migration waits for a lock."
    )

    @property
    def migration_budgets(self) -> Budgets:
        """How long a migration of the logs database may wait, and for what."""
        return Budgets(
            connect_attempts=self.logs_migration_attempts,
            connect_delay_seconds=self.logs_migration_delay_seconds,
            peer_seconds=self.logs_migration_peer_seconds,
            lock_timeout_seconds=self.logs_migration_lock_timeout_seconds,
        )
