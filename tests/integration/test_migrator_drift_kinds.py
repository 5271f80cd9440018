"""Drift of a live database: each kind that people have met is found, and a clean database raises no alarm."""

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest

from migrator.drift import read_drift
from migrator.errors import PermanentError, TemporaryError
from migrator.fingerprint_files import write_fingerprints
from migrator.lock import MigrationLock
from migrator.upgrade import upgrade_to_head
from tests.fixtures.drift_kinds import FOUND, FOUND_BY_PLUGIN, LISTED, MISSED, MORE, SCHEMA, DriftKind
from tests.fixtures.external import TestDatabaseServer
from tests.fixtures.servers import ServerRack, postgres_names
from tests.fixtures.small_environment import SmallEnvironment, small_environment


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory, server_rack: ServerRack) -> SmallEnvironment:
    """An environment whose fingerprints come from one PostgreSQL, to be compared with all of them."""
    small = small_environment(tmp_path_factory.mktemp("drift")).add("r1", f'op.execute("""{SCHEMA}""")')
    server = server_rack.postgres(postgres_names()[0])
    name = f"drift_{secrets.token_hex(4)}"
    write_fingerprints(small.environment, server.create_database(name))
    server.drop_database(name)
    return small


@pytest.fixture
def at_head(drifting: SmallEnvironment, new_database: Callable[..., str], any_postgres: TestDatabaseServer) -> str:
    url = new_database(any_postgres)
    upgrade_to_head(drifting.environment, url)
    return url


@pytest.fixture
def live(at_head: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(at_head, autocommit=True) as connection:
        yield connection


def made_alone(kind: DriftKind) -> bool:
    return any("CONCURRENTLY" in statement for statement in kind.statements)


def test_the_list_is_whole() -> None:
    assert (len(FOUND), len(FOUND_BY_PLUGIN), len(MISSED)) == (10, 3, 21)
    assert len({kind.name for kind in LISTED + MORE}) == len(LISTED + MORE)


def test_every_kind_of_drift_is_found_and_named_and_a_clean_database_raises_no_alarm(
    drifting: SmallEnvironment, live: psycopg.Connection
) -> None:
    unseen, alarms = {}, []
    for kind in LISTED + MORE:
        alarms += read_drift(live, drifting.environment)
        if made_alone(kind):
            continue
        with live.transaction(force_rollback=True):
            for statement in kind.statements:
                live.execute(statement)
            found = read_drift(live, drifting.environment)
        if not any(kind.shown in line for line in found):
            unseen[kind.name] = found

    assert unseen == {}
    assert alarms == []


@pytest.mark.parametrize("kind", [kind for kind in LISTED + MORE if made_alone(kind)], ids=lambda kind: kind.name)
def test_what_a_broken_index_build_leaves_is_found(
    drifting: SmallEnvironment, live: psycopg.Connection, kind: DriftKind
) -> None:
    for statement in kind.statements[:-1]:
        live.execute(statement)
    with pytest.raises(psycopg.errors.UniqueViolation):
        live.execute(kind.statements[-1])

    (line,) = read_drift(live, drifting.environment)
    assert kind.shown in line


def test_a_column_too_many_is_one_line(drifting: SmallEnvironment, live: psycopg.Connection) -> None:
    live.execute("ALTER TABLE items ADD COLUMN surprise int, DROP COLUMN extra")

    assert read_drift(live, drifting.environment) == [
        "missing: column public.items.extra",
        "missing: index public.items.items_extra",
        "unexpected: column public.items.surprise",
    ]


def test_columns_in_another_order_are_told(drifting: SmallEnvironment, live: psycopg.Connection) -> None:
    live.execute("ALTER TABLE parents DROP COLUMN name; ALTER TABLE parents RENAME id TO name_id")
    live.execute("ALTER TABLE parents ADD COLUMN name text NOT NULL, ADD COLUMN id int")

    (line, *_) = [line for line in read_drift(live, drifting.environment) if "columns is" in line]
    assert line == 'different: table public.parents: columns is ["name", "id"], expected ["id", "name"]'


def test_looking_writes_nothing_and_does_not_wait_for_long_for_a_table_that_is_being_changed(
    drifting: SmallEnvironment, at_head: str
) -> None:
    with (
        psycopg.connect(at_head) as changing,
        psycopg.connect(at_head, autocommit=True, options="-c default_transaction_read_only=on") as looking,
    ):
        assert read_drift(looking, drifting.environment) == []
        assert looking.execute("SHOW search_path").fetchone() == ('"$user", public',)

        changing.execute("ALTER TABLE items ADD COLUMN meanwhile int")
        with pytest.raises(TemporaryError, match=r"is just changing \(canceling statement due to lock timeout\)"):
            read_drift(looking, drifting.environment)

        changing.rollback()
        assert read_drift(looking, drifting.environment) == []


def test_a_database_that_is_being_migrated_is_not_called_drifted(drifting: SmallEnvironment, at_head: str) -> None:
    with psycopg.connect(at_head, autocommit=True) as looking, psycopg.connect(at_head) as migrating:
        looking.execute("CREATE TABLE half_done (id int)")
        with MigrationLock(migrating, drifting.environment) as lock:
            lock.take(1.0)
            with pytest.raises(TemporaryError, match="is migrating it"):
                read_drift(looking, drifting.environment)

        assert read_drift(looking, drifting.environment) == ["unexpected: table public.half_done"]


def test_without_a_revision_there_is_nothing_to_compare(drifting: SmallEnvironment, database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(PermanentError, match="has no revision, so there is nothing to compare it with"),
    ):
        read_drift(connection, drifting.environment)
