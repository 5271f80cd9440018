from main_db.environment import ENVIRONMENT
from main_db.models import MainBase
from migrator.run_env import run_env

run_env(ENVIRONMENT, MainBase.metadata)
