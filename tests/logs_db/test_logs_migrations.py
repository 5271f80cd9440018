"""The checks of any Alembic environment, for the logs chain, on each PostgreSQL."""

from logs_db.environment import ENVIRONMENT
from logs_db.models import LogsBase
from main_db.models import MainBase
from migrator.authoring.findings import LintRules
from migrator.pytest_plugin import MigrationChecks


class TestLogsMigrations(MigrationChecks):
    environment = ENVIRONMENT
    metadata = LogsBase.metadata
    lint_rules = LintRules(foreign_tables=frozenset(MainBase.metadata.tables))
    fingerprint_command = "headhunter db fingerprint logs"
