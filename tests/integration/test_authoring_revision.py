"""From a changed model to a revision that may be committed, and what is said of one that may not."""

import ast
import json

import pytest

from migrator.authoring.chain import read_chain
from migrator.authoring.lint import LintRules
from migrator.authoring.offline_sql import upgrade_sql
from migrator.authoring.rehearsal import rehearse
from migrator.authoring.revision import create_revision, inspect_revision
from migrator.authoring.scratch import Scratch, reach_scratch
from migrator.authoring.seals import read_seals
from tests.fixtures.small_environment import small_environment

TABLE = """
Table("things", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("colour", String(20), nullable=False), Column("size", BigInteger){more},
    CheckConstraint("colour IN ('red', 'green')", name="ck_things_colour"){indexes})
"""
FIRST = """
op.execute('''CREATE TABLE public.things (id integer NOT NULL, colour varchar(20) NOT NULL, size bigint,
    CONSTRAINT things_pkey PRIMARY KEY (id), CONSTRAINT ck_things_colour CHECK (colour IN ('red', 'green')))''')
"""
PARTITIONED = """
from sqlalchemy import BigInteger, Date, Index
Table("days", metadata, Column("day", Date, nullable=False), Column("size", BigInteger),
    Index("ix_days_size", "size"), postgresql_partition_by="RANGE (day)")
"""
FIRST_PARTITIONED = """
op.execute("CREATE TABLE public.days (day date NOT NULL, size bigint) PARTITION BY RANGE (day)")
op.execute("CREATE TABLE public.days_1 PARTITION OF public.days FOR VALUES FROM (MINVALUE) TO ('2026-01-01')")
op.execute("CREATE TABLE public.days_2 PARTITION OF public.days FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)")
"""
MAKO = '''"""
${message}.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}

Why:
Locks:
Rollback:
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
compatible_with = ${repr(up_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''
ALLOWED = '[environment]\nprefer-text-field = "short words"\nprefer-bigint-over-int = "few things"\n'


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Scratch:
    folder = tmp_path_factory.mktemp("scratch")
    yield reach_scratch(folder)
    (folder / "used").unlink()


@pytest.fixture
def shelf(tmp_path):
    """A function that makes an environment of one revision whose models have more than it."""

    def make(more="", indexes="", first=""):
        models = "from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, text\n"
        models += TABLE.format(more=more, indexes=indexes)
        small = small_environment(tmp_path, "shelf", version_table="shelf_version", models=models)
        (small.folder / "script.py.mako").write_text(MAKO)
        (small.folder / "lint.toml").write_text(ALLOWED)
        small.add("aaaa", FIRST + first, 'op.execute("DROP TABLE public.things")')
        return small.environment

    return make


def test_a_column_added_to_a_model_becomes_a_sound_revision(shelf, scratch):
    environment = shelf(more=', Column("note", Text, comment="in words")')

    [made] = create_revision(environment, "add a note to things.", scratch, why="people ask for it.")

    assert made.is_sound, (made.findings, made.problems, made.trip.problems)
    assert "ALTER TABLE public.things ADD COLUMN note TEXT;" in made.sql
    [add, _] = made.trip.statements
    assert [(lock.relation, lock.mode) for lock in add.locks] == [("public.things", "AccessExclusive")]
    assert [(one.table, one.rows) for one in made.trip.seeded] == [("public.things", 1000)]
    source = made.file.source
    assert '"""\nAdd a note to things.\n' in source
    assert "Why: people ask for it.\n" in source
    assert "Locks: AccessExclusive on public.things for " in source
    assert "Rollback: loses what is in things.note, so it is refused without ``-x lose-data=yes``." in source
    assert 'compatible_with = "aaaa"' in source
    assert 'ops.require_consent_to_lose("what is in things.note")' in source
    assert (environment.folder / "HEAD.txt").read_text() == f"{made.file.revision}\n"
    stored = json.loads((environment.folder / "fingerprints" / f"{made.file.revision}.json").read_text())
    assert stored["column public.things.note"]["comment"] == "in words"
    assert list(read_seals(environment)) == ["aaaa"]


def test_models_that_did_not_change_make_no_revision(shelf, scratch):
    environment = shelf()
    before = {path: path.read_text() for path in environment.folder.rglob("*.txt")}

    assert create_revision(environment, "nothing", scratch) == []

    assert {path: path.read_text() for path in environment.folder.rglob("*.txt")} == before
    assert environment.known_revisions == {"aaaa"}


def test_an_index_on_a_table_in_use_gets_a_revision_of_its_own_and_is_built_concurrently(shelf, scratch):
    environment = shelf(
        more=', Column("note", Text)',
        indexes=""", Index("ix_things_size", "size", postgresql_where=text("size % 2 > 0"))""",
    )

    first, second = create_revision(environment, "add a note to things", scratch)

    assert first.is_sound, (first.findings, first.problems, first.trip.problems)
    assert "CREATE INDEX" not in first.sql
    assert "idempotent" not in first.file.source
    assert "CREATE INDEX CONCURRENTLY" in second.sql
    assert "partitioned" not in second.file.source
    assert "op.drop_index_concurrently(" in second.file.source
    assert "WHERE size % 2 > 0" in second.sql
    assert second.trip.problems == []
    assert second.file.down_revision == first.file.revision
    assert second.file.path.name.endswith("_build_ix_things_size.py")


def test_a_changed_index_is_dropped_before_all_else_and_built_after_it(shelf, scratch):
    environment = shelf(
        more=', Column("note", Text)',
        indexes=""", Index("ix_things_size", "size", "note")""",
        first="""\nop.execute("CREATE INDEX ix_things_size ON public.things (size) WHERE size > 7")""",
    )

    drop, add, build = made = create_revision(environment, "find things by note", scratch, rows=10)

    assert [(one.findings, one.problems, one.trip.problems) for one in made] == [([], [], [])] * 3
    assert "op.drop_index_concurrently('ix_things_size', 'things'" in drop.file.source.replace('"', "'")
    assert "DROP INDEX" in drop.sql
    assert "size > 7" in drop.file.source.partition("def downgrade")[2]
    assert drop.file.path.name.endswith("_drop_ix_things_size.py")
    assert add.file.path.name.endswith("_find_things_by_note.py")
    assert "INDEX" not in add.sql
    assert "CREATE INDEX CONCURRENTLY" in build.sql
    assert [one.file.down_revision for one in made] == ["aaaa", drop.file.revision, add.file.revision]
    assert [one.file.compatible_with for one in made] == ["aaaa"] * 3


def test_an_index_on_a_partitioned_table_becomes_a_sound_revision_of_its_own(tmp_path, scratch):
    small = small_environment(tmp_path, "days", version_table="days_version", models=PARTITIONED)
    (small.folder / "script.py.mako").write_text(MAKO)
    small.add("aaaa", FIRST_PARTITIONED, "op.execute('DROP TABLE public.days')")

    [made] = create_revision(small.environment, "find days by size", scratch)

    assert made.is_sound, (made.findings, made.problems, made.trip.problems)
    source = " ".join(made.file.source.split())
    assert '"ix_days_size", "days", ["size"], schema="public", partitioned=True' in source
    assert 'op.drop_index_concurrently("ix_days_size", "days", schema="public")' in source
    assert "idempotent = True" in source
    assert "ShareUpdateExclusive on 2 partitions of public.days for " in source
    assert "Share on public.days for " in source
    assert "FOR partition IN" in made.sql


def test_a_new_partitioned_table_and_its_index_become_two_sound_revisions(tmp_path, scratch):
    small = small_environment(tmp_path, "days", version_table="days_version", models=PARTITIONED)
    (small.folder / "script.py.mako").write_text(MAKO)
    small.add("aaaa")

    first, second = create_revision(small.environment, "keep days", scratch)

    assert first.is_sound, (first.findings, first.problems, first.trip.problems)
    assert second.is_sound, (second.findings, second.problems, second.trip.problems)
    assert "partitioned=True" in second.file.source


def test_an_empty_revision_is_for_its_author_to_fill(shelf, scratch):
    environment = shelf(more=', Column("note", Text)')

    [made] = create_revision(environment, "fill something", scratch, empty=True)

    assert made.sql.strip() == ""
    assert {one.rule for one in made.findings} == {"docstring"}
    ast.parse(made.file.source)


def test_what_autogenerate_proposes_is_not_taken_for_safe(shelf, scratch):
    environment = shelf(more=', Column("owner", Text, nullable=False)')

    [made] = create_revision(environment, "add an owner", scratch)

    assert "add-required-column" in {one.rule for one in made.findings}
    assert any('column "owner" of relation "things" contains null values' in one for one in made.trip.problems)
    assert not (environment.folder / "fingerprints" / f"{made.file.revision}.json").exists()


def second(environment, upgrade, downgrade="pass"):
    """Write a second revision by hand, as its author would."""
    text = (environment.folder / "versions" / "aaaa_of_a_test.py").read_text()
    start = text.index("def upgrade")
    head = text[:start].replace("revision = 'aaaa'\ndown_revision = None", "revision = 'bbbb'\ndown_revision = 'aaaa'")
    body = f"def upgrade():\n{upgrade}\ndef downgrade():\n{downgrade}\n"
    (environment.folder / "versions" / "bbbb_of_a_test.py").write_text(head + body.replace("\n@", "\n    "))
    (environment.folder / "HEAD.txt").write_text("bbbb\n")
    return read_chain(environment)


def test_a_revision_that_swallows_an_error_is_told_so_with_the_statement(shelf, scratch):
    upgrade = (
        "    try:\n        op.execute('ALTER TABLE public.things ADD COLUMN id bigint')\n"
        "    except Exception:\n        pass\n    op.execute('ALTER TABLE public.things ADD COLUMN more bigint')"
    )
    chain = second(shelf(), upgrade, "    pass")

    trip = inspect_revision(chain, "bbbb", scratch).trip

    [problem] = trip.problems
    assert problem.startswith("upgrade() of bbbb swallows an error of the server")
    assert "`ALTER TABLE public.things ADD COLUMN id bigint` failed with" in problem


def test_a_way_down_that_leaves_a_trace_is_told_by_the_catalog(shelf, scratch):
    chain = second(
        shelf(), "    op.execute('ALTER TABLE public.things ADD COLUMN more bigint, ALTER COLUMN size SET DEFAULT 3')",
        "    op.execute('ALTER TABLE public.things DROP COLUMN more')",
    )  # fmt: skip

    problems = inspect_revision(chain, "bbbb", scratch).trip.problems

    assert problems == [
        (
            "downgrade() of bbbb does not undo its upgrade(): different: column public.things.size: default is "
            '"3", expected not set'
        )
    ]


def test_rows_that_an_upgrade_loses_are_counted(shelf, scratch):
    chain = second(shelf(), "    op.execute('DELETE FROM public.things WHERE id < 11')", "    pass")

    problems = inspect_revision(chain, "bbbb", scratch).trip.problems

    assert problems == ["upgrade() loses rows: public.things had 1,000 and has 990."]


def test_a_rewrite_is_seen_and_named(shelf, scratch):
    chain = second(
        shelf(), "    op.execute('ALTER TABLE public.things ALTER COLUMN id TYPE bigint')",
        "    op.execute('ALTER TABLE public.things ALTER COLUMN id TYPE integer')",
    )  # fmt: skip

    made = inspect_revision(chain, "bbbb", scratch, rules=LintRules())

    assert [one.rewrites for one in made.trip.statements] == [["public.things"]]
    assert "type-change" in {one.rule for one in made.findings}


def test_a_rehearsal_sees_how_long_clients_wait(shelf, scratch):
    environment = shelf()
    chain = second(environment, "    op.execute('ALTER TABLE public.things ADD COLUMN more bigint')\n"
                   "    op.execute('SELECT pg_sleep(0.5)')", "    pass")  # fmt: skip
    file = chain.get("bbbb")

    seen = rehearse(scratch, chain, file, 5000, upgrade_sql(environment, file))

    [stall] = seen.stalls
    assert (stall.table, stall.rows, stall.errors) == ("public.things", 5000, [])
    assert stall.inserts > 10
    assert 450 <= seen.longest_stall_ms < 5000
    assert seen.trip.problems == []
