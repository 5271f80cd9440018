"""
Daily range partitions of any table: which there are, and how another one comes without stopping anybody.

Bounds are UTC midnights.  They are written with an explicit +00 and read back as instants, because PostgreSQL takes
and shows a bound without a zone by the connection's own TimeZone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

DAY = timedelta(days=1)
FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Relation:
    """A table or index by schema and name, so that no statement depends on a search path."""

    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        """The quoted, schema-qualified name as a part of a statement."""
        return sql.Identifier(self.schema, self.name)

    @property
    def quoted(self) -> str:
        """The quoted, schema-qualified name as the parameter of a cast to regclass."""
        return self.identifier.as_string()

    def named(self, name: str) -> Relation:
        """Another relation in the same schema."""
        return Relation(self.schema, name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Partition:
    """A partition and the instants it covers, *lower* included, *upper* not; None is without end."""

    name: str
    lower: datetime | None
    upper: datetime | None

    def overlaps(self, lower: datetime, upper: datetime) -> bool:
        """Whether the partition covers any instant from *lower* to before *upper*."""
        return (self.lower is None or self.lower < upper) and (self.upper is None or self.upper > lower)


@dataclass(frozen=True)
class Storage:
    """What a new table does not take over by LIKE: owner, storage parameters and statistics targets."""

    owner: str
    parameters: tuple[tuple[str, str], ...] = ()
    statistics_targets: tuple[tuple[str, int], ...] = ()


_PARTITIONS: LiteralString = """
SELECT c.relname,
       (pg_catalog.regexp_match(b.bound, $$FROM \\('([^']+)'\\)$$))[1]::timestamptz,
       (pg_catalog.regexp_match(b.bound, $$TO \\('([^']+)'\\)$$))[1]::timestamptz
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid)) AS b(bound)
WHERE i.inhparent = pg_catalog.to_regclass(%s) AND b.bound <> 'DEFAULT'
ORDER BY 3 NULLS LAST
"""
_STORAGE: LiteralString = """
SELECT pg_catalog.pg_get_userbyid(c.relowner),
       coalesce(c.reloptions, '{}') || ARRAY(SELECT 'toast.' || o FROM pg_catalog.unnest(t.reloptions) AS o),
       ARRAY(SELECT a.attname::text || '=' || a.attstattarget
             FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0)
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = pg_catalog.to_regclass(%s)
"""


def read_partitions(connection: psycopg.Connection[Any], parent: Relation) -> list[Partition]:
    """
    Return the partitions of *parent* in the order of their bounds; a DEFAULT partition is left out.

    The bounds are in UTC whatever the session's zone: in one with summer time a day would not always be 24 hours.
    """
    rows = connection.execute(_PARTITIONS, (parent.quoted,)).fetchall()
    return [Partition(name, *(bound and bound.astimezone(UTC) for bound in bounds)) for name, *bounds in rows]


def read_storage(connection: psycopg.Connection[Any], table: Relation) -> Storage:
    """
    Return what a table like *table* has to be given by hand.

    Raises:
        LookupError: There is no such table.
    """
    row = connection.execute(_STORAGE, (table.quoted,)).fetchone()
    if row is None:
        raise LookupError(f"There is no table {table}.")
    owner, parameters, targets = row
    return Storage(
        owner=owner,
        parameters=tuple((name, value) for name, _, value in (option.partition("=") for option in parameters)),
        statistics_targets=tuple((name, int(n)) for name, _, n in (target.rpartition("=") for target in targets)),
    )


def midnight(day: date) -> datetime:
    """Return the instant at which *day* begins in UTC."""
    return datetime.combine(day, time(), UTC)


def midnight_literal(instant: datetime) -> sql.Literal:
    """Return a UTC midnight as PostgreSQL is to read it whatever the connection's TimeZone."""
    return sql.Literal(f"{instant.astimezone(UTC):%Y-%m-%d 00:00:00}+00")


def first_midnight_after(instant: datetime, lead: timedelta) -> datetime:
    """Return the first UTC midnight that is at least *lead* after *instant*."""
    earliest = instant.astimezone(UTC) + lead
    begun = midnight(earliest.date())
    return begun if begun == earliest else begun + DAY


def days_between(first: date, last: date) -> list[date]:
    """Return every day from *first* to *last*, both included; none if *last* is earlier."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def uncovered_days(partitions: Sequence[Partition], days: Iterable[date]) -> list[date]:
    """Return those of *days* that no partition touches: the ones a partition can still be made for."""
    return [
        day
        for day in sorted(set(days))
        if not any(partition.overlaps(midnight(day), midnight(day) + DAY) for partition in partitions)
    ]


def covered_until(partitions: Iterable[Partition], start: datetime) -> datetime | None:
    """
    Return the end of the cover that has no gap from *start* on.

    None: nothing covers *start* itself.  Without end is `FOR_EVER`.
    """
    reached: datetime | None = None
    for partition in sorted(partitions, key=lambda each: each.lower or datetime.min.replace(tzinfo=UTC)):
        begin = start if reached is None else reached
        if (partition.lower or begin) <= begin < (partition.upper or FOR_EVER):
            reached = partition.upper or FOR_EVER
    return reached


def partition_name(name_format: str, table: str, day: date) -> str:
    """Return the name of the partition of *table* for *day*, by a format such as `{table}_{day:%Y_%m_%d}`."""
    return name_format.format(table=table, day=day)


def add_day(
    connection: psycopg.Connection[Any], parent: Relation, partition: Relation, day: date, storage: Storage
) -> None:
    """
    Add an empty partition for *day* to *parent*, in the transaction that is open.

    ATTACH takes ShareUpdateExclusive on the parent, which neither readers nor writers notice; CREATE TABLE ...
    PARTITION OF would take AccessExclusive.  The table is new and empty, so ATTACH has nothing to scan and no CHECK
    has to spare it that.

    Raises:
        psycopg.errors.DuplicateTable: Something else has that name.
        psycopg.errors.InvalidObjectDefinition: Another partition covers a part of that day.
    """
    lower = midnight(day)
    connection.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(partition.identifier, parent.identifier)
    )
    apply_storage(connection, partition, storage)
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            parent.identifier, partition.identifier, midnight_literal(lower), midnight_literal(lower + DAY)
        )
    )


def apply_storage(
    connection: psycopg.Connection[Any], table: Relation, storage: Storage, *, is_partitioned: bool = False
) -> None:
    """
    Give the new *table* what *storage* holds; it must not be in use yet.

    A partitioned table holds no rows itself, and PostgreSQL refuses storage parameters for it.
    """
    actions: list[sql.Composable] = [
        sql.SQL("ALTER COLUMN {} SET STATISTICS {}").format(sql.Identifier(column), sql.Literal(target))
        for column, target in storage.statistics_targets
    ]
    if storage.parameters and not is_partitioned:
        settings = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(*name.split(".")), sql.Literal(value))
            for name, value in storage.parameters
        )
        actions.append(sql.SQL("SET ({})").format(settings))
    if actions:
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(table.identifier, sql.SQL(", ").join(actions)))
    if storage.owner != _current_user(connection):
        connection.execute(
            sql.SQL("ALTER TABLE {} OWNER TO {}").format(table.identifier, sql.Identifier(storage.owner))
        )


def _current_user(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT current_user::text").fetchone()
    return "" if row is None else str(row[0])
