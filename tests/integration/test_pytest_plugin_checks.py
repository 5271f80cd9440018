"""The plugin's checks: green on a sound environment, and each red on the fault planted for it, with the way out."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import pytest

from migrator.authoring.chain import read_chain
from migrator.authoring.seals import seal
from migrator.fingerprint_files import write_fingerprints
from tests.fixtures.servers import ServerRack, postgres_names
from tests.fixtures.small_environment import SmallEnvironment, small_environment

ROOT = Path(__file__).parents[2]
MODELS = """
from sqlalchemy import BigInteger, PrimaryKeyConstraint, Text
Table("items", metadata, Column("id", BigInteger, nullable=False, autoincrement=False), Column("label", Text),
      Column("note", Text), PrimaryKeyConstraint("id", name="items_pkey"))
"""
DOC = '''"""
Make a thing.

Why: because.
Locks: none that anybody waits for.
Rollback: nothing is lost.
"""
'''
CREATE = (
    'op.execute("CREATE TABLE public.items (id bigint NOT NULL, label text, CONSTRAINT items_pkey PRIMARY KEY (id))")'
)
ADD_NOTE = 'op.execute("ALTER TABLE public.items ADD COLUMN note text")'
DROP_NOTE = 'op.execute("ALTER TABLE public.items DROP COLUMN note")'
LATER_REQUIRED = (
    """op.execute("UPDATE public.items SET note = 'x'; ALTER TABLE public.items ALTER note SET NOT NULL")"""
)
CONSENT = 'ops.require_consent_to_lose("what is in it")'
CONFTEST = """
import os, sys
from pathlib import Path
import psycopg, pytest
from sqlalchemy import Column, Integer, MetaData, NullPool, Table, create_engine
from migrator.configuration import alembic_config as configuration
from migrator.urls import engine_url

EMPTY = "DROP SCHEMA IF EXISTS migrator CASCADE; DROP SCHEMA IF EXISTS other CASCADE; DROP SCHEMA public CASCADE; " \\
        "CREATE SCHEMA public"

def emptied(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(EMPTY)
    return url

class Server:
    def create_database(self, name):
        return emptied(os.environ["MODELS_URL"])
    def drop_database(self, name):
        pass

@pytest.fixture(scope="session")
def migration_server():
    return Server()

@pytest.fixture
def alembic_config(request):
    return configuration(request.cls.environment, lose_data=True)

@pytest.fixture
def alembic_engine(request):
    engine = create_engine(engine_url(emptied(os.environ["CHAIN_URL"])), poolclass=NullPool)
    yield engine
    engine.dispose()
"""
CLASS = """
class Test{name}(MigrationChecks):
    environment = Environment("{folder}", Path({path!r}), "small_version", ("SMALL_URL",))
    metadata = models()
    {more}
"""
HEADER = """
from pathlib import Path
from sqlalchemy import Column, Integer, MetaData, Table
from migrator.environment import Environment
from migrator.pytest_plugin import MigrationChecks

def models():
    metadata = MetaData()
{models}
    return metadata
"""


def edit(small: SmallEnvironment, revision: str, written: str, instead: str) -> None:
    path = small.folder / "versions" / f"{revision}_of_a_test.py"
    source = path.read_text()
    assert written in source
    path.write_text(source.replace(written, instead))


def plant_second_head(small: SmallEnvironment) -> None:
    source = (small.folder / "versions" / "r2_of_a_test.py").read_text()
    (small.folder / "versions" / "r3_of_a_test.py").write_text(source.replace("'r2'", "'r3'"))


def plant_wrong_head(small: SmallEnvironment) -> None:
    (small.folder / "HEAD.txt").write_text("r1\n")


def plant_edit_of_history(small: SmallEnvironment) -> None:
    edit(small, "r1", "label text", "label  text")


def plant_unsafe_statement(small: SmallEnvironment) -> None:
    edit(small, "r2", "Why: because.\n", "")


def plant_failing_upgrade(small: SmallEnvironment) -> None:
    edit(small, "r2", "ADD COLUMN note text", "ADD COLUMN note text NOT NULL")


def plant_trace(small: SmallEnvironment) -> None:
    edit(small, "r2", DROP_NOTE, "pass")


def plant_trace_outside_a_transaction(small: SmallEnvironment) -> None:
    block = 'with op.get_context().autocommit_block(): op.execute("CREATE SCHEMA IF NOT EXISTS other")'
    edit(small, "r2", ADD_NOTE, f"{ADD_NOTE}\n    {block}")


def plant_loss_of_rows(small: SmallEnvironment) -> None:
    edit(small, "r2", ADD_NOTE, f'{ADD_NOTE}; op.execute("DELETE FROM public.items WHERE id > 1")')


def plant_false_promise(small: SmallEnvironment) -> None:
    edit(small, "r2", ADD_NOTE, f"{ADD_NOTE}; {LATER_REQUIRED}")


def plant_stale_fingerprint(small: SmallEnvironment) -> None:
    path = small.folder / "fingerprints" / "r2.json"
    path.write_text(path.read_text().replace('"type": "text"', '"type": "integer"'))


def plant_missing_fingerprint(small: SmallEnvironment) -> None:
    (small.folder / "fingerprints" / "r1.json").rename(small.folder / "fingerprints" / "r0.json")


def plant_nothing(small: SmallEnvironment) -> None:
    pass


CHECKS = {
    "chain": "test_the_revisions_are_one_chain_whose_head_head_txt_names",
    "history": "test_landed_revisions_are_what_they_were",
    "rules": "test_no_revision_breaks_a_rule",
    "runs": "test_every_revision_runs",
    "traces": "test_going_down_leaves_no_trace_and_up_again_makes_the_same",
    "rows": "test_no_row_is_lost",
    "older code": "test_older_code_works_on_the_newer_schema",
    "fingerprints": "test_the_stored_fingerprints_are_what_the_revisions_make",
    "models": "test_the_models_are_what_the_head_is",
}
FAULTS: dict[Callable[[SmallEnvironment], None], tuple[str, str]] = {
    plant_second_head: ("chain", r"has 2 heads, .* rebase it"),
    plant_wrong_head: ("chain", r"HEAD.txt names r1, but the newest revision .* Write r2 into it"),
    plant_edit_of_history: ("history", r"Revision r1 has landed and was edited since.* Undo the change"),
    plant_unsafe_statement: ("rules", r"r2: .*Why"),
    plant_failing_upgrade: ("runs", r"upgrade\(\) of r2 failed on a database with rows: .*note.* Correct the revision"),
    plant_trace: ("traces", r"downgrade\(\) of r2 does not undo its upgrade\(\): unexpected: column public.items.note"),
    plant_trace_outside_a_transaction: ("traces", r"does not undo its upgrade\(\): unexpected: schema other. Undo"),
    plant_loss_of_rows: ("rows", r"upgrade\(\) of r2 loses rows: public.items had 3 and has 1"),
    plant_false_promise: (
        "older code",
        r"Revision r2 says compatible_with = 'r1', but code of r1 fails on it: INSERT of .* Say compatible_with = 'r2'",
    ),
    plant_stale_fingerprint: ("fingerprints", r"revision r2 is not what the revision makes: .*Write the fingerprints"),
    plant_missing_fingerprint: ("fingerprints", r"r0.json belongs to no revision. Write the fingerprints anew"),
}  # fmt: skip
MODEL_FAULT = "a column without a revision"


def class_name(plant: Callable[[SmallEnvironment], None]) -> str:
    return plant.__name__.removeprefix("plant_").title().replace("_", "")


def sound_environment(folder: Path, name: str) -> SmallEnvironment:
    small = small_environment(folder, name, models=MODELS)
    small.add("r1", CREATE, f'{CONSENT}\nop.execute("DROP TABLE public.items")', extra="from migrator import ops")
    small.add("r2", ADD_NOTE, f"{CONSENT}\n{DROP_NOTE}", compatible_with="r1", extra="from migrator import ops")
    for path in (small.folder / "versions").glob("*.py"):
        path.write_text(re.sub(r'\A"""[^"]*"""\nimport time\nimport sqlalchemy as sa\n', DOC, path.read_text()))
    return small


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, server_rack: ServerRack) -> dict[tuple[str, str], str | None]:
    """The message of each check that was run; None: it passed. All run in one process of pytest."""
    folder = tmp_path_factory.mktemp("plugin")
    server = server_rack.postgres(postgres_names()[0])
    names = {use: f"{use}_{secrets.token_hex(4)}" for use in ("chain", "models", "fingerprints")}
    urls = {use: server.create_database(name) for use, name in names.items()}
    sound = sound_environment(folder, "sound")
    write_fingerprints(sound.environment, urls["fingerprints"])
    seal(sound.environment, read_chain(sound.environment).revisions)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_environments.py").write_text(planted_classes(sound))
    run_chosen_checks(folder, urls)
    for name in names.values():
        server.drop_database(name)
    return read_outcomes(folder / "out.xml")


def planted_classes(sound: SmallEnvironment) -> str:
    """Make an environment for each fault beside the sound one; return the module that has them checked."""
    source = HEADER.format(models=indent(MODELS, "    "))
    for plant in (plant_nothing, *FAULTS):
        name = plant.__name__
        small = SmallEnvironment(replace(sound.environment, name=name, folder=sound.folder.with_name(name)))
        shutil.copytree(sound.folder, small.folder)
        env = small.folder / "env.py"
        env.write_text(env.read_text().replace("'sound'", repr(name)))
        plant(small)
        source += CLASS.format(name=class_name(plant), folder=name, path=str(small.folder), more="")
    planted = 'metadata.tables["items"].append_column(Column("planted", Integer))'
    return source + CLASS.format(name="Models", folder="sound", path=str(sound.folder), more=planted)


def run_chosen_checks(folder: Path, urls: dict[str, str]) -> None:
    """Run all checks on the sound environment, and on each other one that which its fault has to turn red."""
    chosen = [f"TestNothing::{check}" for check in CHECKS.values()]
    chosen += [f"Test{class_name(plant)}::{CHECKS[check]}" for plant, (check, _) in FAULTS.items()]
    chosen.append(f"TestModels::{CHECKS['models']}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--rootdir", folder, "--junitxml=out.xml"]
    done = subprocess.run(
        [*command, *(f"test_environments.py::{name}" for name in chosen)],
        cwd=folder,
        env=os.environ | {"CHAIN_URL": urls["chain"], "MODELS_URL": urls["models"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr


def read_outcomes(path: Path) -> dict[tuple[str, str], str | None]:
    found: dict[tuple[str, str], str | None] = {}
    for case in ET.parse(path).iter("testcase"):
        trouble = case.find("failure") if case.find("failure") is not None else case.find("error")
        message = None if trouble is None else trouble.get("message")
        found[case.get("classname", "").rpartition(".Test")[2], case.get("name", "")] = message
    return found


def test_a_sound_environment_passes_every_check(outcomes) -> None:
    assert {name: outcomes["Nothing", name] for name in CHECKS.values()} == dict.fromkeys(CHECKS.values())


@pytest.mark.parametrize("plant", FAULTS, ids=class_name)
def test_a_planted_fault_turns_its_check_red_and_tells_the_way_out(outcomes, plant) -> None:
    check, sentence = FAULTS[plant]

    message = outcomes[class_name(plant), CHECKS[check]]

    assert message is not None
    assert re.search(sentence, message), message
    assert "Traceback" not in message


def test_a_column_of_a_model_without_a_revision_is_found_by_the_catalog_and_by_autogenerate(outcomes) -> None:
    message = outcomes["Models", CHECKS["models"]]

    assert message is not None
    assert "Models and migrations differ: missing: column public.items.planted" in message
    assert "Add the revision that is missing" in message


def test_every_check_is_shown_red() -> None:
    assert {check for check, _ in FAULTS.values()} | {"models"} == set(CHECKS)
