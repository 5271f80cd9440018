"""What an import of a room really loads, seen from a fresh interpreter; and that the two databases share no table."""

import subprocess
import sys
from pathlib import Path

import pytest

from logs_db.models import LogsBase
from main_db.models import MainBase

ROOT = Path(__file__).parents[2]

# Imports a whole room, module by module, and prints the top-level packages that came along.
LOAD_ROOM = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    parts = set(module.name.split("."))
    if not parts & {"versions", "env", "__main__"}:
        importlib.import_module(module.name)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
LOAD_MODULE = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def loaded_by(name: str, script: str = LOAD_MODULE) -> set[str]:
    """The top-level packages in ``sys.modules`` after a fresh interpreter has imported *name*."""
    command = [sys.executable, "-c", script, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_main_models_load_nothing_of_the_logs_database():
    assert "logs_db" not in loaded_by("main_db.models")


def test_the_logs_models_load_nothing_of_the_main_database():
    assert "main_db" not in loaded_by("logs_db.models")


def test_the_worker_never_loads_the_main_database():
    assert loaded_by("worker", LOAD_ROOM).isdisjoint({"main_db", "api", "headhunter", "servers"})


def test_log_events_loads_no_database_library():
    heavy = {"sqlalchemy", "alembic", "psycopg", "pydantic", "fastapi", "migrator"}

    assert loaded_by("log_events", LOAD_ROOM).isdisjoint(heavy)


def test_nobody_loads_the_packages_of_the_archive_by_an_import_alone():
    extra = {"pyarrow", "duckdb", "s3fs", "fsspec", "botocore"}

    assert loaded_by("logs_db", LOAD_ROOM).isdisjoint(extra)


@pytest.mark.parametrize("room", ["main_db", "logs_db"])
def test_an_environment_is_known_without_loading_alembic(room):
    assert loaded_by(f"{room}.environment").isdisjoint({"alembic", "sqlalchemy"})


def test_a_forbidden_import_would_be_seen(tmp_path):
    (tmp_path / "planted_room.py").write_text("import main_db.models\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{LOAD_MODULE}"

    assert "main_db" in loaded_by("planted_room", script)


def test_the_two_databases_have_no_table_in_common():
    main, logs = set(MainBase.metadata.tables), set(LogsBase.metadata.tables)

    assert main
    assert logs
    assert main.isdisjoint(logs)
    assert MainBase.metadata is not LogsBase.metadata
