"""Where the business database's migrations live, and which database they are for."""

from pathlib import Path
from typing import Final

from migrator.environment import Environment

ENVIRONMENT: Final = Environment(
    name="main",
    folder=Path(__file__).parent,
    version_table="alembic_version",
    url_variables=("DATABASE_URL",),
    foreign_version_tables=("logs_alembic_version",),
    distribution="headhunter",
)
