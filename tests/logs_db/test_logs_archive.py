"""Archives of partitions: what they hold is what the table held, and nothing else is ever believed."""

import itertools
import json
import sys
import threading
from pathlib import Path

import msgspec
import psycopg
import pytest

from logs_db import retention
from logs_db.archive import archiving, store, table_rows
from logs_db.archive.errors import ArchiveError
from logs_db.archive.manifest import read_manifest
from logs_db.archive.parquet import CountingFile
from logs_db.archive.store import open_store
from logs_db.archive.verification import verify
from logs_db.detachment import Detached
from logs_db.retention_plan import Retention
from migrator.partitioning import DAY, midnight
from tests.fixtures.api import copy_of
from tests.fixtures.archive import fill_calls, fill_lines
from tests.fixtures.extra import need
from tests.fixtures.retention import ago, exists, fill_day, names

need("pyarrow")

THIRTY = Retention(system_logs=30)
NUMBERS = itertools.count()
RECORDED = "SELECT partition_name, rows, size_bytes, encode(sha256, 'hex'), location FROM archived_partitions"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture(scope="module")
def shared(schema_templates, postgres):
    """A database for those tests that drop nothing."""
    for name in copy_of(schema_templates[0], postgres):
        with psycopg.connect(postgres.url(name), autocommit=True, options="-c TimeZone=UTC") as connection:
            yield connection


@pytest.fixture
def day(shared):
    """A past day of lines, attached, that no other test has."""
    return filled(shared, 40 + next(NUMBERS))


def filled(connection, days: int) -> Detached:
    name = fill_day(connection, ago(days), rows=0)
    fill_lines(connection, ago(days))
    return Detached("system_logs", name, midnight(ago(days)), midnight(ago(days - 1)))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/*"))


def keep(connection, folder, **options):
    before_drop = archiving.hook(connection, str(folder))
    return retention.run(connection, THIRTY, before_drop=before_drop, **options)


def test_retention_archives_first_then_drops_though_nobody_agreed_before(retained, folder):
    day = filled(retained, 31)
    retention.first_look(retained)
    assert keep(retained, folder).dropped == (day.name,)

    manifest = read_manifest(open_store(str(folder)), "system_logs", day.name)
    location = str(folder / "system_logs" / manifest.file)
    assert files(folder) == sorted([manifest.file, f"{day.name}.manifest.json"])
    assert retained.execute(RECORDED).fetchall() == [
        (day.name, manifest.rows, Path(location).stat().st_size, manifest.sha256, location)
    ]
    assert retained.execute("SELECT partition_name, archive FROM dropped_partitions").fetchall() == [
        (day.name, location)
    ]
    assert not exists(retained, day.name)


def test_the_manifest_tells_bounds_columns_and_the_instants_of_the_rows(shared, folder, day):
    manifest = archiving.archive(shared, open_store(str(folder)), day)

    assert (manifest.since, manifest.until) == (day.since, day.until)
    assert [column.type for column in manifest.columns][:3] == [
        "uuid",
        "timestamp with time zone",
        "character varying(20)",
    ]
    assert manifest.rows == 9
    assert manifest.min_created_at == f"{day.since:%Y-%m-%d} 12:00:01.000001Z"
    assert manifest.max_created_at == f"{day.since:%Y-%m-%d} 12:00:09.000009Z"


def test_a_partition_of_many_pieces_is_the_same_as_one_of_a_single_piece(shared, folder, day, monkeypatch):
    store = open_store(str(folder))
    whole = archiving.archive(shared, store, day)
    for path in folder.glob("*/*"):
        path.unlink()
    monkeypatch.setattr(table_rows, "PIECE_ROWS", 2)
    pieces = archiving.archive(shared, store, day)
    assert pieces.content_sha256 == whole.content_sha256
    assert pieces.sha256 != whole.sha256


def test_no_time_out_of_a_role_ends_the_reading_of_a_large_day(shared):
    shared.execute("SET statement_timeout = '1ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        shared.execute("SELECT pg_sleep(1)")
    with table_rows.unhurried(shared):
        shared.execute("SELECT pg_sleep(0.01)")
    shared.execute("RESET statement_timeout")


def test_an_empty_partition_is_an_archive_of_no_rows(shared, folder):
    name = fill_day(shared, ago(3), rows=0)
    manifest = archiving.archive(shared, open_store(str(folder)), Detached("system_logs", name, None, midnight(ago(2))))
    assert (manifest.rows, manifest.min_created_at) == (0, None)


def test_calls_of_models_keep_every_digit_of_their_cost(shared, folder):
    name = fill_day(shared, ago(3), table="llm_logs")
    fill_calls(shared, ago(3))
    manifest = archiving.archive(
        shared, open_store(str(folder)), Detached("llm_logs", name, midnight(ago(3)), midnight(ago(2)))
    )
    assert manifest.rows == 5


def test_what_is_archived_already_is_verified_and_not_written_again(shared, folder, day):
    store = open_store(str(folder))
    first = archiving.archive(shared, store, day)
    assert archiving.archive(shared, store, day) == first

    fill_day(shared, day.since.date(), rows=1)
    second = archiving.archive(shared, store, day)
    assert (second.rows, files(folder)) == (10, sorted([second.file, f"{day.name}.manifest.json"]))


def test_leftovers_of_killed_runs_go_with_the_next_one(shared, folder, day):
    (folder / "system_logs").mkdir(parents=True)
    other = folder / "system_logs" / "system_logs_2020_01_01.0.parquet"
    for path in (other, other.with_name(f"{day.name}.0.parquet"), other.with_name(f"{day.name}.1.parquet.part")):
        path.write_bytes(b"half")
    manifest = archiving.archive(shared, open_store(str(folder)), day)
    assert files(folder) == sorted([other.name, manifest.file, f"{day.name}.manifest.json"])


def test_a_damaged_archive_of_a_partition_that_is_there_is_written_again(shared, folder, day):
    store = open_store(str(folder))
    first = archiving.archive(shared, store, day)
    path = folder / "system_logs" / first.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"is damaged: it has .* another checksum"):
        verify(store, first)

    second = archiving.archive(shared, store, day)
    assert second.file != first.file
    verify(store, second)


def test_a_file_with_a_right_checksum_and_other_rows_is_damaged(shared, folder, day):
    store = open_store(str(folder))
    first = archiving.archive(shared, store, day)
    shared.execute("UPDATE system_logs SET message = 'other' WHERE level = 'INFO'")
    second = archiving.archive(shared, store, day)
    lie = msgspec.structs.replace(second, content_sha256=first.content_sha256)
    with pytest.raises(ArchiveError, match="its 9 rows are not those"):
        verify(store, lie)


def test_a_changed_manifest_is_not_believed(shared, folder, day):
    store = open_store(str(folder))
    manifest = archiving.archive(shared, store, day)
    path = folder / manifest.name
    content = json.loads(path.read_text())
    for change in ({"rows": 8}, {"rows": "many"}, {"partition": "system_logs_2020_01_01"}):
        path.write_text(json.dumps(content | change))
        with pytest.raises(ArchiveError, match=r"manifest .* was changed or damaged"):
            read_manifest(store, "system_logs", day.name)


def test_what_cannot_be_archived_is_kept_and_said_why(retained, folder, tmp_path, monkeypatch):
    day, number = filled(retained, 31), 28

    def full(_):
        raise OSError(number, "No space left on device")

    def obstacle(place) -> str:
        report = keep(retained, place)
        assert (report.dropped, exists(retained, day.name)) == ((), True)
        return report.obstacles[0]

    (tmp_path / "file").write_text("not a folder")
    assert "cannot be written: Not a directory. No partition was dropped" in obstacle(tmp_path / "file")
    assert "kind gopher://, which is not known" in obstacle("gopher://logs")
    assert "the relative path logs/old, which another process" in obstacle("logs/old")
    assert "Could not determine home directory" in obstacle("~nobody-at-all/archive")
    with monkeypatch.context() as patch:
        patch.setattr("logs_db.archive.store.os.fsync", full)
        assert "No space left on device" in obstacle(folder)
        assert files(folder) == []
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        assert "pip install 'headhunter[archive]'" in obstacle(folder)
    assert retained.execute("SELECT count(*) FROM archived_partitions").fetchone() == (0,)
    assert keep(retained, folder).dropped == (day.name,)


def test_an_archive_that_fails_amid_a_large_day_says_why(shared, folder, day, monkeypatch):
    monkeypatch.setattr(table_rows, "PIECE_ROWS", 2)
    written = []

    def write_once(file, data) -> int:
        written.append(data)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        return len(bytes(data))

    monkeypatch.setattr(CountingFile, "write", write_once)
    with pytest.raises(ArchiveError, match="cannot be written: No space left on device"):
        archiving.archive(shared, open_store(str(folder)), day)
    assert len(written) > 1
    assert files(folder) == []


def test_folders_that_an_archive_makes_are_lasting_too(tmp_path, monkeypatch):
    synced, sync = [], store._sync
    monkeypatch.setattr(store, "_sync", lambda folder: (synced.append(folder), sync(folder)))
    for _ in range(2):
        with open_store(str(tmp_path / "a" / "b")).writing("system_logs/x") as file:
            file.write(b"x")

    made = [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    assert synced == [*made, tmp_path / "a" / "b" / "system_logs", tmp_path / "a" / "b" / "system_logs"]


def test_two_processes_never_archive_the_same_partition(shared, folder, day):
    with (
        psycopg.connect(shared.info.dsn, password=shared.info.password, autocommit=True) as other,
        archiving._alone(other, day.name),
        pytest.raises(ArchiveError, match="Another process"),
    ):
        archiving.archive(shared, open_store(str(folder)), day)


def test_an_archive_that_is_told_to_stop_does_and_leaves_nothing(shared, folder, day, monkeypatch):
    monkeypatch.setattr(table_rows, "PIECE_ROWS", 2)
    stop = threading.Event()
    stop.set()
    with pytest.raises(ArchiveError, match="told to stop"):
        archiving.archive(shared, open_store(str(folder)), day, stop)
    assert files(folder) == []
    assert day.name in names(shared)
    assert shared.execute("SELECT 1").fetchone() == (1,)


def test_the_legacy_partition_is_archived_with_its_rows_before_all_time(shared, folder):
    shared.execute("CREATE TABLE aside (LIKE system_logs)")
    shared.execute(
        "INSERT INTO aside (id, created_at, level, component, message)"
        " VALUES (gen_random_uuid(), '-infinity', 'INFO', 'c', 'm'), (gen_random_uuid(), 'infinity', 'INFO', 'c', 'm')"
    )
    until = midnight(ago(0)) + DAY
    manifest = archiving.archive(shared, open_store(str(folder)), Detached("system_logs", "aside", None, until))
    assert (manifest.min_created_at, manifest.max_created_at) == ("-infinity", "infinity")
