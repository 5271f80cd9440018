"""When a limit of the logs database would be reached, if each day adds what the last ones did."""

from datetime import UTC, datetime, timedelta

from logs_db.retention_plan import Retention
from logs_db.size import DatabaseSize, Piece, TableSize

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TODAY = datetime(2026, 3, 10, tzinfo=UTC)
FOR_EVER = Retention()


def day(ago, size, dead=0, live=0):
    lower = TODAY - timedelta(days=ago)
    return Piece(f"system_logs_{ago}", lower, lower + timedelta(days=1), size, live, dead)


def database(*pieces, growth=100):
    table = TableSize("system_logs", pieces, growth)
    return DatabaseSize(1000 + table.bytes, (table,), NOW)


def test_without_retention_a_limit_is_reached_as_the_days_add_up():
    size = database(day(0, 50), day(1, 100))

    assert [size.days_until(limit, FOR_EVER) for limit in (1150, 1151, 1250, 1251)] == [0, 1, 1, 2]
    assert size.days_until(10**9, FOR_EVER) is None


def test_what_retention_drops_makes_room_for_what_comes():
    size = database(*[day(ago, 100) for ago in range(1, 31)])

    assert size.days_until(4201, FOR_EVER) == 3
    assert size.days_until(4201, Retention(system_logs=30)) is None
    assert size.days_until(4201, Retention(system_logs=90)) == 3


def test_a_limit_that_is_not_reached_yet_is_not_foretold_without_a_day_that_is_over():
    size = database(day(0, 50), growth=None)

    assert (size.growth_bytes, size.days_until(1050, FOR_EVER), size.days_until(1051, FOR_EVER)) == (None, 0, None)


def test_only_days_that_are_over_and_of_the_last_week_count_for_growth():
    assert [ago for ago in range(12) if day(ago, 1).is_day_over(NOW)] == [1, 2, 3, 4, 5, 6, 7]
    assert not Piece("system_logs_legacy", None, TODAY, 1, 0, 0).is_day_over(NOW)


def test_a_few_dead_rows_are_no_bloat_and_neither_are_many_among_many_more():
    pieces = [day(0, 1, dead=9_999), day(1, 1, dead=20_000, live=900_000), day(2, 1, dead=20_000, live=50_000)]

    assert [piece.name for piece in database(*pieces).bloated] == ["system_logs_2"]
