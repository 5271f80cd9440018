"""Archives of partitions: what they hold is what the table held, and nothing else is ever believed."""

import json
import sys
import threading
from pathlib import Path

import msgspec
import psycopg
import pytest

from logs_db import retention
from logs_db.archive import archiving, table_rows
from logs_db.archive.errors import ArchiveError
from logs_db.archive.manifest import read_manifest
from logs_db.archive.store import open_store
from logs_db.archive.verification import verify
from logs_db.detachment import Detached
from logs_db.retention_plan import Retention
from migrator.partitioning import DAY, midnight
from tests.fixtures.archive import fill_calls, fill_lines
from tests.fixtures.extra import need
from tests.fixtures.retention import ago, exists, fill_day, names

need("pyarrow")

THIRTY = Retention(system_logs=30)
RECORDED = "SELECT partition_name, rows, size_bytes, encode(sha256, 'hex'), location FROM archived_partitions"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def day(retained):
    """A past day of lines, attached."""
    name = fill_day(retained, ago(31), rows=0)
    fill_lines(retained, ago(31))
    return Detached("system_logs", name, midnight(ago(31)), midnight(ago(30)))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/*"))


def keep(connection, folder, **options):
    before_drop = archiving.hook(connection, str(folder))
    return retention.run(connection, THIRTY, before_drop=before_drop, **options)


def test_retention_archives_first_then_drops_though_nobody_agreed_before(retained, folder, day):
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


def test_the_manifest_tells_bounds_columns_and_the_instants_of_the_rows(retained, folder, day):
    manifest = archiving.archive(retained, open_store(str(folder)), day)

    assert (manifest.since, manifest.until) == (midnight(ago(31)), midnight(ago(30)))
    assert [column.type for column in manifest.columns][:3] == [
        "uuid",
        "timestamp with time zone",
        "character varying(20)",
    ]
    assert manifest.rows == 9
    assert manifest.min_created_at == f"{ago(31)} 12:00:01.000001Z"
    assert manifest.max_created_at == f"{ago(31)} 12:00:09.000009Z"


def test_a_partition_of_many_pieces_is_the_same_as_one_of_a_single_piece(retained, folder, day, monkeypatch):
    store = open_store(str(folder))
    whole = archiving.archive(retained, store, day)
    retained.execute("DELETE FROM archived_partitions")
    for path in folder.glob("*/*"):
        path.unlink()
    monkeypatch.setattr(table_rows, "PIECE_ROWS", 2)
    pieces = archiving.archive(retained, store, day)
    assert pieces.content_sha256 == whole.content_sha256
    assert pieces.sha256 != whole.sha256


def test_an_empty_partition_is_an_archive_of_no_rows(retained, folder):
    name = fill_day(retained, ago(3), rows=0)
    manifest = archiving.archive(
        retained, open_store(str(folder)), Detached("system_logs", name, None, midnight(ago(2)))
    )
    assert (manifest.rows, manifest.min_created_at) == (0, None)


def test_calls_of_models_keep_every_digit_of_their_cost(retained, folder):
    name = fill_day(retained, ago(3), table="llm_logs")
    fill_calls(retained, ago(3))
    manifest = archiving.archive(
        retained, open_store(str(folder)), Detached("llm_logs", name, midnight(ago(3)), midnight(ago(2)))
    )
    assert manifest.rows == 5


def test_what_is_archived_already_is_verified_and_not_written_again(retained, folder, day):
    store = open_store(str(folder))
    first = archiving.archive(retained, store, day)
    assert archiving.archive(retained, store, day) == first

    fill_day(retained, ago(31), rows=1)
    second = archiving.archive(retained, store, day)
    assert (second.rows, files(folder)) == (10, sorted([second.file, f"{day.name}.manifest.json"]))


def test_leftovers_of_killed_runs_go_with_the_next_one(retained, folder, day):
    (folder / "system_logs").mkdir(parents=True)
    other = folder / "system_logs" / "system_logs_2020_01_01.0.parquet"
    for path in (other, other.with_name(f"{day.name}.0.parquet"), other.with_name(f"{day.name}.1.parquet.part")):
        path.write_bytes(b"half")
    manifest = archiving.archive(retained, open_store(str(folder)), day)
    assert files(folder) == sorted([other.name, manifest.file, f"{day.name}.manifest.json"])


def test_a_damaged_archive_of_a_partition_that_is_there_is_written_again(retained, folder, day):
    store = open_store(str(folder))
    first = archiving.archive(retained, store, day)
    path = folder / "system_logs" / first.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"is damaged: it has .* another checksum"):
        verify(store, first)

    second = archiving.archive(retained, store, day)
    assert second.file != first.file
    verify(store, second)


def test_a_file_with_a_right_checksum_and_other_rows_is_damaged(retained, folder, day):
    store = open_store(str(folder))
    first = archiving.archive(retained, store, day)
    retained.execute("UPDATE system_logs SET message = 'other' WHERE level = 'INFO'")
    second = archiving.archive(retained, store, day)
    lie = msgspec.structs.replace(second, content_sha256=first.content_sha256)
    with pytest.raises(ArchiveError, match="its 9 rows are not those"):
        verify(store, lie)


def test_a_changed_manifest_is_not_believed(retained, folder, day):
    store = open_store(str(folder))
    manifest = archiving.archive(retained, store, day)
    path = folder / manifest.name
    content = json.loads(path.read_text())
    for change in ({"rows": 8}, {"rows": "many"}, {"partition": "system_logs_2020_01_01"}):
        path.write_text(json.dumps(content | change))
        with pytest.raises(ArchiveError, match=r"manifest .* was changed or damaged"):
            read_manifest(store, "system_logs", day.name)


def test_a_place_that_takes_nothing_keeps_the_partition_and_says_why(retained, folder, day):
    folder.write_text("not a folder")
    report = keep(retained, folder)
    assert report.dropped == ()
    assert "cannot be written: Not a directory. No partition was dropped" in report.obstacles[0]
    assert exists(retained, day.name)


def test_a_full_disk_keeps_the_partition_and_leaves_no_half_file(retained, folder, day, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("logs_db.archive.store.os.fsync", full)
    report = keep(retained, folder)
    assert (report.dropped, files(folder)) == ((), [])
    assert "No space left on device" in report.obstacles[0]
    assert exists(retained, day.name)


def test_a_store_of_an_unknown_kind_keeps_the_partition(retained, day):
    report = keep(retained, "gopher://logs")
    assert "kind gopher://, which is not known" in report.obstacles[0]
    assert exists(retained, day.name)


def test_without_the_extra_the_partition_is_kept_and_the_message_names_it(retained, folder, day, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    report = keep(retained, folder)
    assert "pip install 'headhunter[archive]'" in report.obstacles[0]
    assert exists(retained, day.name)


def test_two_processes_never_archive_the_same_partition(retained, retained_url, folder, day):
    with (
        psycopg.connect(retained_url, autocommit=True) as other,
        archiving._alone(other, day.name),
        pytest.raises(ArchiveError, match="Another process"),
    ):
        archiving.archive(retained, open_store(str(folder)), day)


def test_an_archive_that_is_told_to_stop_does_and_leaves_nothing(retained, folder, day, monkeypatch):
    monkeypatch.setattr(table_rows, "PIECE_ROWS", 2)
    stop = threading.Event()
    stop.set()
    with pytest.raises(ArchiveError, match="told to stop"):
        archiving.archive(retained, open_store(str(folder)), day, stop)
    assert files(folder) == []
    assert day.name in names(retained)
    assert retained.execute("SELECT 1").fetchone() == (1,)


def test_the_legacy_partition_is_archived_with_its_rows_before_all_time(retained, folder):
    retained.execute("CREATE TABLE aside (LIKE system_logs)")
    retained.execute(
        "INSERT INTO aside (id, created_at, level, component, message)"
        " VALUES (gen_random_uuid(), '-infinity', 'INFO', 'c', 'm'), (gen_random_uuid(), 'infinity', 'INFO', 'c', 'm')"
    )
    until = midnight(ago(0)) + DAY
    manifest = archiving.archive(retained, open_store(str(folder)), Detached("system_logs", "aside", None, until))
    assert (manifest.min_created_at, manifest.max_created_at) == ("-infinity", "infinity")
