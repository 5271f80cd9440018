"""The main chain: data on the way up and down, what is refused, the plain alembic command."""

import io
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic import command

from main_db.environment import ENVIRONMENT
from migrator.configuration import alembic_config
from migrator.errors import DataLossRefusedError

BASE = "c181b00c0dd8"
INVITATIONS = "ccb0d9fd7e5b"
NO_OPERATION = "3b5f7a8c9d2e"

SEED = """
INSERT INTO companies (id, name, slug) VALUES ('00000000-0000-0000-0000-0000000000c0', 'Acme', 'acme');
INSERT INTO users (id, email, full_name, role, company_id) VALUES
    ('00000000-0000-0000-0000-0000000000a0', 'rita@acme.test', 'Rita', 'recruiter',
     '00000000-0000-0000-0000-0000000000c0'),
    ('00000000-0000-0000-0000-0000000000a1', 'carl@mail.test', 'Carl', 'candidate', NULL);
INSERT INTO jobs (id, company_id, created_by_id, title, description, workplace, employment_type) VALUES
    ('00000000-0000-0000-0000-0000000000b0', '00000000-0000-0000-0000-0000000000c0',
     '00000000-0000-0000-0000-0000000000a0', 'Welder', 'Welds.', 'on_site', 'full_time');
INSERT INTO applications (job_id, candidate_id) VALUES
    ('00000000-0000-0000-0000-0000000000b0', '00000000-0000-0000-0000-0000000000a1');
"""
SEED_INVITATION = """
INSERT INTO user_invitations (email, role, company_id, invited_by_id, token_hash, expires_at) VALUES
    ('new@acme.test', 'recruiter', '00000000-0000-0000-0000-0000000000c0', '00000000-0000-0000-0000-0000000000a0',
     decode(repeat('ab', 32), 'hex'), now() + interval '7 days')
"""


def execute(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements)


def rows(url: str, *tables: str) -> dict[str, list]:
    """Everything that *tables* hold."""
    with psycopg.connect(url) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables}


def test_the_no_operation_keeps_every_row_down_and_up(any_database_url):
    tables = ("companies", "users", "jobs", "applications", "user_invitations")
    command.upgrade(alembic_config(ENVIRONMENT, url=any_database_url), "head")
    execute(any_database_url, SEED)
    execute(any_database_url, SEED_INVITATION)
    before = rows(any_database_url, *tables)

    command.downgrade(alembic_config(ENVIRONMENT, url=any_database_url), INVITATIONS)
    command.upgrade(alembic_config(ENVIRONMENT, url=any_database_url), NO_OPERATION)

    assert rows(any_database_url, *tables) == before
    assert all(before.values())


def test_the_invitations_go_down_and_up_while_all_else_stays(any_database_url):
    tables = ("companies", "users", "jobs", "applications")
    command.upgrade(alembic_config(ENVIRONMENT, url=any_database_url), "head")
    execute(any_database_url, SEED)
    before = rows(any_database_url, *tables)

    command.downgrade(alembic_config(ENVIRONMENT, url=any_database_url, lose_data=True), BASE)
    command.upgrade(alembic_config(ENVIRONMENT, url=any_database_url), "head")

    assert rows(any_database_url, *tables) == before
    assert all(before.values())
    assert rows(any_database_url, "user_invitations") == {"user_invitations": []}


@pytest.mark.parametrize(("start", "target"), [("head", BASE), (BASE, "base")])
def test_a_downgrade_that_loses_data_is_refused_without_consent(any_database_url, start, target):
    command.upgrade(alembic_config(ENVIRONMENT, url=any_database_url), start)
    execute(any_database_url, SEED)
    if start == "head":
        execute(any_database_url, SEED_INVITATION)
    tables = ("companies", "users", "jobs", "applications") + (("user_invitations",) if start == "head" else ())
    before = rows(any_database_url, *tables)

    with pytest.raises(DataLossRefusedError, match="lose-data=yes"):
        command.downgrade(alembic_config(ENVIRONMENT, url=any_database_url), target)

    assert rows(any_database_url, *tables) == before


def test_the_plain_alembic_command_works_from_any_directory(database_url, tmp_path):
    alembic = Path(sys.executable).parent / "alembic"
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONWARNINGS": "error"}

    for arguments in (["upgrade", "head"], ["check"], ["current", "--check-heads"]):
        done = subprocess.run(
            [alembic, "-c", ENVIRONMENT.folder / "alembic.ini", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    assert f"{ENVIRONMENT.head} (head)" in done.stdout


def test_the_chain_renders_as_sql_that_a_person_may_run(database_url):
    config = alembic_config(ENVIRONMENT)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)

    execute(database_url, config.output_buffer.getvalue())

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(ENVIRONMENT.head,)]
