"""Autogenerate and partitions: it leaves them alone however many there are, and sees what became of their parents."""

import ast
import re
from collections.abc import Callable

import psycopg
import pytest

from tests.fixtures.drift_kinds import MODELS, SCHEMA
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.small_environment import SmallEnvironment, run_alembic, small_environment

DETACHED = "ALTER TABLE days DETACH PARTITION days_2026_01"
FOUR_HUNDRED = """
DO $$ BEGIN FOR n IN 1..400 LOOP
    EXECUTE format('CREATE TABLE daily_%s PARTITION OF days FOR VALUES FROM (%L) TO (%L)',
                   n, date '2030-01-01' + n, date '2030-01-01' + n + 1);
END LOOP; END $$
"""
PLAIN = (
    "DROP TABLE days; CREATE TABLE days (day date NOT NULL, id int NOT NULL, more text, "
    "CONSTRAINT days_pkey PRIMARY KEY (day, id)); CREATE INDEX days_more ON days (more)"
)
OTHER_KEY = (
    "DROP TABLE days; CREATE TABLE days (day date NOT NULL, id int NOT NULL, more text, "
    "CONSTRAINT days_pkey PRIMARY KEY (day, id)) PARTITION BY LIST (day); CREATE INDEX days_more ON days (more); "
    "CREATE TABLE days_rest PARTITION OF days DEFAULT"
)
CHANGES = [
    pytest.param(
        PLAIN, "public.days is a plain table, but the models partition it by RANGE (day); convert it", None,
        id="a partitioned table replaced by a plain one",
    ),
    pytest.param(
        OTHER_KEY, "public.days is partitioned by LIST (day), but the models partition it by RANGE (day)", None,
        id="another key",
    ),
    pytest.param(
        DETACHED, "public.days_2026_01 has the columns of days, but is no partition of it", None,
        id="a partition detached",
    ),
    pytest.param(
        "DROP TABLE days_rest", "public.days has no partition public.days_rest",
        'CREATE TABLE "public"."days_rest" PARTITION OF "public"."days" DEFAULT',
        id="the DEFAULT partition gone",
    ),
    pytest.param(
        "ALTER TABLE days DETACH PARTITION days_rest", "public.days_rest is no partition of public.days any more",
        'ALTER TABLE "public"."days" ATTACH PARTITION "public"."days_rest" DEFAULT',
        id="the DEFAULT partition detached",
    ),
    pytest.param(
        "ALTER TABLE days DETACH PARTITION days_rest; "
        "ALTER TABLE days ATTACH PARTITION days_rest FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        "public.days_rest is the partition of public.days FOR VALUES FROM ('2027-01-01') TO ('2028-01-01'), "
        "but the models want it DEFAULT", None,
        id="another bound",
    ),
    pytest.param(
        "DROP TABLE days_rest; CREATE TABLE days_other PARTITION OF days DEFAULT",
        "public.days has the DEFAULT partition public.days_other, which the models do not name", None,
        id="a DEFAULT partition that nobody named",
    ),
]  # fmt: skip


@pytest.fixture
def small(tmp_path) -> SmallEnvironment:
    return small_environment(tmp_path, models=MODELS).add("r1", f'op.execute("""{SCHEMA}""")')


@pytest.fixture
def url(small: SmallEnvironment, new_database: Callable[..., str], postgres: TestDatabaseServer) -> str:
    url = new_database(postgres)
    done = run_alembic(small, "upgrade", "head", url=url)
    assert done.returncode == 0, done.stderr
    return url


def test_four_hundred_partitions_are_no_operation(small: SmallEnvironment, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(FOUR_HUNDRED)

    done = run_alembic(small, "check", url=url)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("statements", "sentence", "levelled_by"), CHANGES)
def test_what_became_of_a_partitioned_table_is_seen_and_no_row_is_dropped_unasked(
    small: SmallEnvironment, url: str, statements: str, sentence: str, levelled_by: str | None
) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements)

    checked = run_alembic(small, "check", url=url)
    written = run_alembic(small, "revision", "--autogenerate", "--rev-id", "r2", "-m", "more", url=url)

    assert checked.returncode != 0
    assert sentence in checked.stderr.replace("\\'", "'")
    assert written.returncode == 0, written.stderr
    source = (small.folder / "versions" / "r2_more.py").read_text()
    upgrade = source.partition("def upgrade")[2].partition("def downgrade")[0]
    ast.parse(source)
    assert "drop_table" not in upgrade
    assert sentence in upgrade.replace("\\'", "'")
    if levelled_by is None:
        assert "raise NotImplementedError(" in upgrade
    else:
        assert levelled_by in upgrade
        assert run_alembic(small, "upgrade", "head", url=url).returncode == 0
        assert run_alembic(small, "check", url=url).returncode == 0
        assert run_alembic(small, "downgrade", "r1", url=url).returncode == 0


@pytest.mark.parametrize("written", ["range(day)", "RANGE  ( day )", 'RANGE ("day")'])
def test_a_key_that_is_only_written_otherwise_is_no_change(tmp_path, new_database, postgres, written: str) -> None:
    models = MODELS.replace('"RANGE (day)"', repr(written))
    small = small_environment(tmp_path, models=models).add("r1", f'op.execute("""{SCHEMA}""")')
    url = new_database(postgres)
    assert run_alembic(small, "upgrade", "head", url=url).returncode == 0

    assert run_alembic(small, "check", url=url).returncode == 0


def test_a_partition_is_told_by_the_catalog_and_not_by_its_name(small: SmallEnvironment, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE days_2026_02 (id int); CREATE TABLE grown (extra int) INHERITS (parents)")

    done = run_alembic(small, "check", url=url)

    assert sorted(re.findall(r"'remove_table', Table\('(\w+)'", done.stderr)) == ["days_2026_02", "grown"]


def test_a_partition_that_has_a_model_of_its_own_is_compared_as_a_table(tmp_path, new_database, postgres) -> None:
    own = 'Table("days_rest", metadata, Column("day", Date, primary_key=True), Column("id", Integer, primary_key=True))'
    small = small_environment(tmp_path, models=f"{MODELS}\n{own}").add("r1", f'op.execute("""{SCHEMA}""")')
    url = new_database(postgres)
    assert run_alembic(small, "upgrade", "head", url=url).returncode == 0

    done = run_alembic(small, "check", url=url)

    assert "remove_column" in done.stderr
    assert "add_table" not in done.stderr
