"""Operations of migrator.ops in revisions: drafted, judged, run both ways, traced, rehearsed and walked."""

import pytest
import pytest_alembic
from pytest_alembic.config import Config
from sqlalchemy import NullPool, create_engine

from migrator.authoring.chain import read_chain
from migrator.authoring.lint import LintRules
from migrator.authoring.lock_trace import strongest_locks
from migrator.authoring.offline_sql import upgrade_sql
from migrator.authoring.rehearsal import rehearse
from migrator.authoring.revision import create_revision, inspect_revision
from migrator.authoring.scratch import Scratch, reach_scratch
from migrator.authoring.squawk import squawk_findings
from migrator.configuration import alembic_config
from migrator.pytest_plugin.history_walk import walk_history
from migrator.urls import engine_url
from tests.fixtures.small_environment import small_environment
from tests.integration.test_authoring_revision import MAKO

MODELS = """
from sqlalchemy import BigInteger, CheckConstraint, PrimaryKeyConstraint, Text
Table("things", metadata, Column("id", BigInteger, nullable=False, autoincrement=False),
    Column("note", Text, nullable=False), Column("size", BigInteger),
    PrimaryKeyConstraint("id", name="things_pkey"), CheckConstraint("size % 5 >= 0", name="ck_things_size"))
"""
FIRST = """
op.execute('''CREATE TABLE public.things (id bigint NOT NULL, note text, size bigint,
    CONSTRAINT things_pkey PRIMARY KEY (id))''')
"""
FILL = "op.run_in_batches('things', \"SET note = ''\", where=\"note IS DISTINCT FROM ''\")"
CHECK = "op.add_check('ck_things_size', 'things', 'size % 5 >= 0')"
NOT_NULL = "op.add_not_null('things', 'note')"
DOC = '"""\nDo it.\n\nWhy: because.\nLocks: none for long.\nRollback: nothing is lost.\n"""\n'


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Scratch:
    folder = tmp_path_factory.mktemp("scratch")
    yield reach_scratch(folder)
    (folder / "used").unlink()


@pytest.fixture
def drafting(tmp_path):
    """An environment whose models ask for more than its one revision makes."""
    small = small_environment(tmp_path, "drafted", version_table="drafted_version", models=MODELS)
    (small.folder / "script.py.mako").write_text(MAKO)
    return small.add("aaaa", FIRST, 'op.execute("DROP TABLE public.things")').environment


@pytest.fixture
def written(tmp_path):
    """An environment whose revisions use each operation once."""
    small = small_environment(tmp_path, "written", version_table="written_version", models=MODELS)
    small.add("aaaa", FIRST, "ops.require_consent_to_lose('all')\nop.execute('DROP TABLE public.things')")
    small.add("bbbb", FILL, compatible_with="aaaa")
    small.add("cccc", CHECK, "op.drop_constraint('ck_things_size', 'things', schema='public')")
    small.add("dddd", NOT_NULL, "op.alter_column('things', 'note', nullable=True, schema='public')")
    for path in (small.folder / "versions").glob("*.py"):
        source = path.read_text().partition("from alembic import op\n")[2]
        path.write_text(f"{DOC}from alembic import op\nfrom migrator import ops\n{source}")
    return small.environment


def test_what_the_models_ask_for_is_drafted_as_an_operation_that_stops_nobody(drafting, scratch):
    made = create_revision(drafting, "require notes and sizes", scratch)

    assert [(one.findings, one.problems, one.trip.problems) for one in made] == [([], [], [])] * 2
    sources = " ".join(one.file.source for one in made)
    assert 'op.add_not_null("things", "note", schema="public")' in sources
    assert 'op.add_check("ck_things_size", "things", "size % 5 >= 0", schema="public")' in sources
    assert (
        'op.alter_column(\n        "things", "note", existing_type=sa.TEXT(), nullable=True, schema="public"' in sources
    )
    assert 'op.drop_constraint("ck_things_size", "things", schema="public"' in sources
    assert {one.file.compatible_with for one in made} == {one.file.revision for one in made}
    assert create_revision(drafting, "nothing", scratch) == []


@pytest.mark.parametrize(("revision", "exclusive"), [("bbbb", 0), ("cccc", 1), ("dddd", 2)])
def test_it_is_sound_and_the_trace_shows_short_locks_only(written, scratch, revision, exclusive):
    made = inspect_revision(read_chain(written), revision, scratch)

    assert made.is_sound, (made.findings, made.problems, made.trip.problems)
    held = [lock for one in made.trip.statements for lock in one.locks if lock.mode == "AccessExclusive"]
    assert len(held) == exclusive
    assert sum(lock.held_ms for lock in held) < made.trip.up_ms / 2
    assert [lock.mode for lock in strongest_locks(made.trip.statements)] == ["AccessExclusive"] * min(exclusive, 1)
    assert not any(one.rewrites for one in made.trip.statements)


def test_squawk_finds_nothing_in_their_sql_but_the_end_of_a_constraint_that_has_done_its_work(written):
    chain = read_chain(written)

    found = {
        file.revision: [one.rule for one in squawk_findings(file.revision, upgrade_sql(written, file), LintRules())]
        for file in chain.revisions[1:]
    }

    assert found == {"bbbb": [], "cccc": [], "dddd": ["ban-drop-constraint"]}


@pytest.mark.parametrize("revision", ["bbbb", "cccc", "dddd"])
def test_clients_that_insert_meanwhile_get_no_error(written, scratch, revision):
    chain = read_chain(written)
    file = chain.get(revision)

    seen = rehearse(scratch, chain, file, 2000, upgrade_sql(written, file))

    assert seen.trip.problems == []
    assert [(stall.table, stall.rows, stall.errors) for stall in seen.stalls] == [("public.things", 2000, [])]


def test_a_walk_through_the_history_with_them_leaves_no_trace_and_loses_nothing(written, any_database_url):
    engine = create_engine(engine_url(any_database_url), poolclass=NullPool)
    config = Config.from_raw_config(alembic_config(written, lose_data=True))
    with pytest_alembic.runner(config=config, engine=engine) as runner:
        walk = walk_history(runner, engine, read_chain(written))

    seen = (walk.broken, walk.traces, walk.lost_rows, walk.broken_promises, walk.operations)
    assert seen == ([], [], [], [], [])
    assert list(walk.fingerprints) == ["aaaa", "bbbb", "cccc", "dddd"]
