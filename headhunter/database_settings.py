"""Where the two databases are, as the environment says it to the commands that look after them."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from migrator.budgets import Budgets
from migrator.urls import checked_postgres_url


def _postgres_url(value: SecretStr | None) -> SecretStr | None:
    return None if value is None else SecretStr(checked_postgres_url(value.get_secret_value()))


def _empty_is_unset(value: Any) -> Any:
    return None if value == "" else value


OptionalUrl = Annotated[SecretStr | None, BeforeValidator(_empty_is_unset), AfterValidator(_postgres_url)]


class DatabaseSettings(BaseSettings):
    """Both databases. Only the one that a command is about has to be set. Faults never show a value."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: OptionalUrl = None
    logs_database_url: OptionalUrl = None
    logs_migration_database_url: OptionalUrl = None
    redis_url: Annotated[SecretStr | None, BeforeValidator(_empty_is_unset)] = None
    logs_migration_attempts: int = Field(default=5, ge=1)
    logs_migration_delay_seconds: float = Field(default=2.0, ge=0)
    logs_migration_peer_seconds: float = Field(default=600.0, ge=0)
    logs_migration_lock_timeout_seconds: float = Field(default=4.0, gt=0)

    @model_validator(mode="after")
    def _are_two_databases(self) -> Self:
        if self.database_url and self.database_url in {self.logs_database_url, self.logs_migration_database_url}:
            raise ValueError("DATABASE_URL and LOGS_DATABASE_URL name the same database; they must be two")
        return self

    def url(self, name: str) -> str | None:
        """Return the URL under which database *name*, `main` or `logs`, may be changed; None where it is not set."""
        logs = self.logs_migration_database_url or self.logs_database_url
        url = self.database_url if name == "main" else logs
        return None if url is None else url.get_secret_value()

    def budgets(self, name: str) -> Budgets:
        """Return how long commands on database *name* may wait, and for what."""
        if name == "main":
            return Budgets()
        return Budgets(
            connect_attempts=self.logs_migration_attempts,
            connect_delay_seconds=self.logs_migration_delay_seconds,
            peer_seconds=self.logs_migration_peer_seconds,
            lock_timeout_seconds=self.logs_migration_lock_timeout_seconds,
        )
