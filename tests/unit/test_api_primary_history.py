"""How old a replica's data are, told from where the primary was when."""

from dataclasses import replace

from api.primary_history import PrimaryHistory
from logs_db.replication import ServerPosition, end_of_records, lsn_text, parse_lsn

PRIMARY = ServerPosition(False, 7, 1, 1, 100, False, False)
BLOCK, SEGMENT = 8192, 16 * 1024 * 1024


def history(*moments):
    found = PrimaryHistory(kept_seconds=10)
    for asked_at, position in moments:
        found.note(asked_at, replace(PRIMARY, position=position))
    return found


def test_a_replica_is_as_old_as_the_latest_moment_that_it_has_all_of():
    known = history((1.0, 100), (2.0, 100), (3.0, 200))

    assert [known.as_of(position) for position in (99, 100, 199, 200, 500)] == [None, 2.0, 2.0, 3.0, 3.0]


def test_moments_older_than_the_bound_are_forgotten():
    assert history((1.0, 100), (11.5, 200)).as_of(150) is None


def test_after_a_failover_nothing_that_was_known_before_counts():
    for changes in ({"timeline": 2}, {"system_identifier": 8}, {"position": 99}):
        known = history((1.0, 100))
        known.note(2.0, replace(PRIMARY, position=300) if "position" not in changes else PRIMARY)
        known.note(3.0, replace(PRIMARY, **{"position": 300, **changes}))

        assert known.as_of(250) in {None, 3.0}


def test_a_page_header_holds_no_record():
    assert end_of_records(SEGMENT + 40, BLOCK, SEGMENT) == SEGMENT
    assert end_of_records(BLOCK + 24, BLOCK, SEGMENT) == BLOCK
    for position in (BLOCK + 40, BLOCK + 32, SEGMENT + 48, BLOCK):
        assert end_of_records(position, BLOCK, SEGMENT) == position


def test_positions_are_written_as_postgresql_writes_them():
    assert lsn_text(parse_lsn("1A/3000148")) == "1A/3000148"
    assert parse_lsn("1/0") == 1 << 32
