"""Databases with tables but no revision: taken over on proof, refused otherwise."""

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from migrator import adoption
from migrator.errors import PermanentError
from migrator.fingerprint_files import write_fingerprints
from migrator.upgrade import upgrade_to_head
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.small_environment import SmallEnvironment, rows, small_environment

LEGACY = "CREATE TABLE items (id int PRIMARY KEY, label text); CREATE INDEX items_label ON items (label)"


@pytest.fixture
def small(tmp_path: Path, new_database: Callable[..., str]) -> SmallEnvironment:
    environment = small_environment(tmp_path).add("r1", f"op.execute('{LEGACY}')")
    environment.add("r2", "op.execute('SELECT 1')").add("r3", "op.execute('ALTER TABLE items ADD COLUMN more int')")
    write_fingerprints(environment.environment, new_database())
    return environment


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "SETTLE_SECONDS", 0.3)


@pytest.fixture
def legacy_url(any_postgres: TestDatabaseServer, new_database: Callable[..., str]) -> str:
    url = new_database(any_postgres)
    with psycopg.connect(url) as connection:
        connection.execute(LEGACY)
        connection.execute("INSERT INTO items VALUES (1, 'kept')")
    return url


def test_a_database_that_equals_a_revision_is_stamped_there_and_brought_to_head(
    small: SmallEnvironment, legacy_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "migrator")

    result = upgrade_to_head(small.environment, legacy_url)

    # r2 changed no table, so the database equals both: the older one is taken, and r2 is run.
    assert (result.adopted_at, result.after.revision) == ("r1", "r3")
    assert rows(legacy_url, "SELECT from_revision, to_revision FROM migrator.history ORDER BY id") == [
        (None, "r1"),
        ("r1", "r2"),
        ("r2", "r3"),
    ]
    assert rows(legacy_url, "SELECT * FROM items") == [(1, "kept", None)]
    assert [record.event for record in caplog.records if hasattr(record, "event")] == [
        "revision_stamped",
        "database_adopted",
        "revision_applied",
        "revision_applied",
        "schema_upgraded",
    ]


@pytest.mark.usefixtures("soon")
def test_a_database_that_equals_none_is_refused_with_a_readable_difference_and_nothing_is_run(
    small: SmallEnvironment, legacy_url: str
) -> None:
    with psycopg.connect(legacy_url) as connection:
        connection.execute("DROP INDEX items_label; ALTER TABLE items ADD COLUMN surprise int")

    with pytest.raises(PermanentError) as caught:
        upgrade_to_head(small.environment, legacy_url)

    assert "From the closest, r1, it differs in: " in str(caught.value)
    assert "missing: index public.items.items_label" in str(caught.value)
    assert "unexpected: column public.items.surprise" in str(caught.value)
    assert rows(legacy_url, "SELECT to_regclass('small_version'), to_regnamespace('migrator')") == [(None, None)]


@pytest.mark.usefixtures("soon")
def test_a_database_that_is_just_being_made_gets_the_time_to_become_what_it_will_be(
    small: SmallEnvironment, legacy_url: str
) -> None:
    with psycopg.connect(legacy_url) as connection:
        connection.execute("DROP INDEX items_label")

    def finish() -> None:
        with psycopg.connect(legacy_url) as connection:
            connection.execute("CREATE INDEX items_label ON items (label)")

    legacy_worker = threading.Timer(0.4, finish)
    legacy_worker.start()
    result = upgrade_to_head(small.environment, legacy_url)
    legacy_worker.join()

    assert (result.adopted_at, result.after.revision) == ("r1", "r3")


@pytest.mark.usefixtures("soon")
def test_without_fingerprints_nothing_is_adopted(tmp_path: Path, legacy_url: str) -> None:
    small = small_environment(tmp_path, "bare").add("r1", f"op.execute('{LEGACY}')")

    with pytest.raises(PermanentError, match=r"there are no fingerprints in .*bare/fingerprints"):
        upgrade_to_head(small.environment, legacy_url)


def test_a_version_table_without_a_row_beside_tables_is_adopted_too(small: SmallEnvironment, legacy_url: str) -> None:
    with psycopg.connect(legacy_url) as connection:
        connection.execute("CREATE TABLE small_version (version_num varchar(32) PRIMARY KEY)")

    assert upgrade_to_head(small.environment, legacy_url).adopted_at == "r1"
