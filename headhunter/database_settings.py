"""Where the two databases are, as the environment says it to the commands that look after them."""

from typing import Annotated, Self

from pydantic import BeforeValidator, SecretStr, model_validator

from logs_db.migration_settings import MigrationSettings, OptionalPostgresUrl
from logs_db.retention_settings import empty_is_unset
from migrator.budgets import Budgets


class DatabaseSettings(MigrationSettings):
    """Both databases. Only the one that a command is about has to be set. Faults never show a value."""

    database_url: OptionalPostgresUrl = None
    logs_database_url: OptionalPostgresUrl = None
    redis_url: Annotated[SecretStr | None, BeforeValidator(empty_is_unset)] = None

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
        return Budgets() if name == "main" else self.migration_budgets
