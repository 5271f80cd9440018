"""Where a server of the logs database is in its write-ahead log, and whether it is a replica of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from logs_db.queries import PageQuery

# The insert position and not the one written to disk: what was committed asynchronously is visible before it is there.
# Nobody but superusers and pg_read_all_stats sees more of the receiver than its process id.
POSITION: Final = PageQuery(
    sql.Composed(
        [
            sql.SQL("""
SELECT is_standby,
       (SELECT system_identifier FROM pg_catalog.pg_control_system()) AS system_identifier,
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())::bigint AS database_oid,
       (CASE WHEN is_standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END
        - '0/0'::pg_lsn)::bigint AS position,
       CASE WHEN is_standby
            THEN GREATEST((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
                          (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()),
                          (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver))
            ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
                 )::bit(32)::integer
       END AS timeline,
       CASE WHEN is_standby THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END AS is_paused,
       EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE pid IS NOT NULL) AS is_receiving,
       pg_catalog.current_setting('wal_block_size')::integer AS block_bytes,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS segment_bytes
FROM (SELECT pg_catalog.pg_is_in_recovery() AS is_standby) AS role
""")
        ]
    ),
    {},
)
"""One row, for `ServerPosition.of`; any role may ask it, of a primary and of a standby."""

# Sizes of the headers of a page of WAL, and of the first page of a segment, on all 64-bit machines.
_PAGE_HEADER: Final = 24
_SEGMENT_HEADER: Final = 40


@dataclass(frozen=True, slots=True)
class ServerPosition:
    """
    One server at one moment.

    Args:
        is_standby: It replays what another one writes.
        system_identifier: Equal for a primary and all of its replicas, and for no others.
        database_oid: Which database of that server.
        timeline: Changes when a standby is promoted.
        position: Up to which byte of the log it has written, or replayed: all before is visible to new statements.
        is_paused: Replay is paused, or about to be.
        is_receiving: It is connected to the one that it replays.
    """

    is_standby: bool
    system_identifier: int
    database_oid: int
    timeline: int
    position: int
    is_paused: bool
    is_receiving: bool

    @classmethod
    def of(cls, row: dict[str, Any]) -> ServerPosition:
        """The answer to `POSITION`."""
        block, segment = row["block_bytes"], row["segment_bytes"]
        fields = {name: row[name] for name in cls.__slots__}
        return cls(**fields | {"position": end_of_records(row["position"], block, segment)})


def end_of_records(position: int, block_bytes: int, segment_bytes: int) -> int:
    """
    Where the last record before *position* ends, if nothing but a page's header lies between.

    At the begin of a page an idle primary tells where the next record will go, behind the header, while its replicas
    tell where the last one ended, before it: without this they would seem to be behind until something is written.
    """
    if position % segment_bytes == _SEGMENT_HEADER:
        return position - _SEGMENT_HEADER
    return position - _PAGE_HEADER if position % block_bytes == _PAGE_HEADER else position


def lsn_text(position: int) -> str:
    """*position* as PostgreSQL writes an LSN."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    """
    The position that an LSN such as 0/3000148 names.

    Raises:
        ValueError: It is none.
    """
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)
