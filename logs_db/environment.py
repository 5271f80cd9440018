"""Where the logs database's migrations live, and which database they are for."""

from pathlib import Path
from typing import Final

from migrator.environment import Environment

ENVIRONMENT: Final = Environment(
    name="logs",
    folder=Path(__file__).parent,
    version_table="logs_alembic_version",
    url_variables=("LOGS_MIGRATION_DATABASE_URL", "LOGS_DATABASE_URL"),
    foreign_version_tables=("alembic_version",),
    direct_url_variable="LOGS_MIGRATION_DATABASE_URL",
    distribution="headhunter",
)
