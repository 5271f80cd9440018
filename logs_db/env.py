from logs_db.environment import ENVIRONMENT
from logs_db.models import LogsBase
from migrator.run_env import run_env

run_env(ENVIRONMENT, LogsBase.metadata)
