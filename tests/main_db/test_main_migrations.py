"""The checks of any Alembic environment, for the main chain, on each PostgreSQL."""

from logs_db.models import LogsBase
from main_db.environment import ENVIRONMENT
from main_db.models import MainBase
from migrator.authoring.findings import LintRules
from migrator.pytest_plugin import MigrationChecks


class TestMainMigrations(MigrationChecks):
    environment = ENVIRONMENT
    metadata = MainBase.metadata
    beyond_models = ("function public.set_*", "trigger public.*_set_*")
    lint_rules = LintRules(foreign_tables=frozenset(LogsBase.metadata.tables))
    fingerprint_command = "headhunter db fingerprint main"
