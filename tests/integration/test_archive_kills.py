"""A pass of retention killed anywhere leaves the partition or a verified archive, and the next pass the latter."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from benchmarks.archives.nursery import KEPT, POINTS
from logs_db import retention
from logs_db.archive.archiving import hook
from logs_db.archive.errors import ArchiveError
from logs_db.archive.manifest import find_manifest
from logs_db.archive.store import open_store
from logs_db.archive.verification import verify
from tests.fixtures.archive import fill_lines
from tests.fixtures.extra import need
from tests.fixtures.logs import wait_until
from tests.fixtures.retention import ago, exists, fill_day, know_since

need("pyarrow")

ROOT = Path(__file__).parents[2]
RECORDED = "SELECT EXISTS (SELECT FROM archived_partitions WHERE partition_name = %s AND rows = 9)"


@pytest.fixture
def killed_at(retained_url, tmp_path):
    """Let a pass run until it is killed at a point."""
    command = [sys.executable, "-m", "benchmarks.archives.nursery", retained_url, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:

        def kill(point: str) -> None:
            nursery.stdin.write(f"{point}\n")
            nursery.stdin.flush()
            assert nursery.stdout.readline().split()[0] == "-9"

        yield kill
        nursery.stdin.close()


def is_archived(connection: psycopg.Connection, folder: Path, name: str) -> bool:
    """Whether there is an archive of all rows that the database knows of and that can be read."""
    store = open_store(str(folder))
    try:
        verify(store, find_manifest(store, name))
    except ArchiveError:
        return False
    return connection.execute(RECORDED, [name]).fetchone()[0]


def dropped_next(connection: psycopg.Connection, folder: Path) -> tuple[str, ...]:
    """What the next pass drops; the server may take a moment to see that the killed one has let go of its lock."""
    reports = []

    def is_done() -> bool:
        reports.append(retention.run(connection, KEPT, before_drop=hook(connection, str(folder))))
        return not reports[-1].skipped

    wait_until(is_done)
    return reports[-1].dropped


def test_a_kill_leaves_the_partition_or_a_verified_archive_and_the_next_pass_finishes(retained, killed_at, tmp_path):
    know_since(retained, 300)
    for number, point in enumerate(POINTS):
        day = ago(100 - number)
        name = fill_day(retained, day, rows=0)
        fill_lines(retained, day)
        killed_at(point)
        kept = exists(retained, name) and retained.execute(f"SELECT count(*) FROM {name}").fetchone() == (9,)
        assert kept or is_archived(retained, tmp_path, name), point

        assert dropped_next(retained, tmp_path) == (name,), point
        assert not exists(retained, name)
        assert is_archived(retained, tmp_path, name)
        assert len(list(tmp_path.glob(f"*/{name}.*"))) == 2, point
