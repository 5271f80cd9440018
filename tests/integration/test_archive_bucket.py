"""Archives in an S3-compatible store: complete or not there, and without any secret in what is told of them."""

import pytest

from logs_db import retention
from logs_db.archive import archiving, bucket
from logs_db.archive.errors import ArchiveError
from logs_db.archive.manifest import find_manifest
from logs_db.archive.querying import ask
from logs_db.archive.restoring import restore
from logs_db.archive.store import open_store
from logs_db.archive.verification import verify
from logs_db.detachment import Detached
from logs_db.retention_plan import Retention
from migrator.partitioning import midnight
from tests.fixtures.archive import fill_lines, rows_as_text
from tests.fixtures.retention import ago, exists, fill_day

KEPT = Retention(system_logs=30)


@pytest.fixture
def day(retained) -> str:
    name = fill_day(retained, ago(31), rows=0)
    fill_lines(retained, ago(31))
    return name


def test_a_day_goes_into_the_bucket_and_comes_back_to_the_byte(retained, bucket_url, day):
    before = rows_as_text(retained, day)
    assert retention.run(retained, KEPT, before_drop=archiving.hook(retained, bucket_url)).dropped == (day,)

    store = open_store(bucket_url)
    manifest = find_manifest(store, day)
    assert store.names(f"system_logs/{day}.") == sorted([f"system_logs/{manifest.file}", manifest.name])
    locations = retained.execute("SELECT location FROM archived_partitions").fetchall()
    assert locations == [(f"s3://logs/cold/days/system_logs/{manifest.file}",)]
    assert ask(store, "SELECT count(*), count(extra_data) FROM system_logs")[1] == [(9, 5)]
    restore(retained, store, manifest)
    assert rows_as_text(retained, f"restored_{day}") == before


def fail_amid(store) -> None:
    with store.writing("system_logs/a.b.parquet") as file:
        file.write(b"x" * 11 * 1024 * 1024)
        raise ZeroDivisionError


def test_what_fails_amid_an_upload_leaves_nothing_in_the_bucket(bucket_url, monkeypatch):
    monkeypatch.setattr(bucket, "PART_BYTES", 5 * 1024 * 1024)
    store = open_store(bucket_url)
    with pytest.raises(ZeroDivisionError):
        fail_amid(store)
    assert store.names("system_logs/") == []
    assert "Uploads" not in store._files.call_s3("list_multipart_uploads", Bucket="logs")


def test_uploads_of_killed_runs_are_given_up_by_the_next_one_and_no_others(retained, bucket_url, day):
    store = open_store(bucket_url)
    for key in (f"cold/days/system_logs/{day}.x.parquet", "cold/days/system_logs/other.x.parquet"):
        store._files.call_s3("create_multipart_upload", Bucket="logs", Key=key)
    archiving.archive(retained, store, Detached("system_logs", day, midnight(ago(31)), midnight(ago(30))))
    uploads = store._files.call_s3("list_multipart_uploads", Bucket="logs")["Uploads"]
    assert [upload["Key"] for upload in uploads] == ["cold/days/system_logs/other.x.parquet"]


def test_without_a_bucket_credentials_or_the_right_ones_the_partition_is_kept(retained, bucket_url, day, monkeypatch):
    def obstacle(url: str) -> str:
        [told] = retention.run(retained, KEPT, before_drop=archiving.hook(retained, url)).obstacles
        assert exists(retained, day)
        assert "hush-hush" not in told
        return told

    assert "Invalid bucket name" in obstacle("s3://no such bucket/x")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "minio:9000")
        assert "Invalid endpoint: minio:9000" in obstacle(bucket_url)
        patch.setenv("AWS_ENDPOINT_URL", "me:hush-hush@minio:9000")
        assert "Invalid endpoint: ...@minio:9000" in obstacle(bucket_url)
    assert "no such bucket" in obstacle("s3://nobody/x") or "bucket does not exist" in obstacle("s3://nobody/x")
    with pytest.raises(ArchiveError, match="bucket"):
        open_store("s3://nobody/x").names("system_logs/")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "there are no credentials: set AWS_ACCESS_KEY_ID" in obstacle(bucket_url)


def test_a_file_that_is_gone_from_the_bucket_is_told(retained, bucket_url, day):
    store = open_store(bucket_url)
    manifest = archiving.archive(retained, store, Detached("system_logs", day, None, midnight(ago(30))))
    store.remove(f"system_logs/{manifest.file}")
    with pytest.raises(ArchiveError, match="cannot be read: there is no such file"):
        verify(store, manifest)
