"""All health checks, in the order of the answer."""

from typing import Final

from api.health.board import Check
from api.health.databases import check_logs_database, check_main_database
from api.health.dead_letters import check_dead_letters
from api.health.durability import check_durability
from api.health.event_queue import check_queue
from api.health.indexes import check_indexes
from api.health.ledger import check_ledger
from api.health.partitions import check_partitions
from api.health.producers import check_producers
from api.health.recent_writes import RecentWrites
from api.health.replica import check_replica
from api.health.retention import check_retention
from api.health.schemas import check_logs_schema, check_main_schema
from api.health.size import check_size
from api.health.trouble import LOGS_DATABASE, MAIN_DATABASE, READ_REPLICA, REDIS
from api.health.workers import check_workers

READINESS: Final = ("logs_schema", "main_schema")
"""The checks that decide whether this process may get requests."""


def all_checks(*, has_replica: bool = False) -> tuple[Check, ...]:
    """The checks of one process; each call gives checks that remember nothing yet."""
    return (
        *([Check("replica", (READ_REPLICA,), check_replica)] if has_replica else []),
        Check("logs_database", (LOGS_DATABASE,), check_logs_database),
        Check("main_database", (MAIN_DATABASE,), check_main_database),
        Check("queue", (REDIS,), check_queue),
        Check("ledger", (REDIS, LOGS_DATABASE), check_ledger),
        Check("dead_letters", (LOGS_DATABASE,), check_dead_letters),
        Check("workers", (REDIS,), check_workers),
        Check("recent_writes", (REDIS,), RecentWrites()),
        Check("logs_schema", (LOGS_DATABASE,), check_logs_schema),
        Check("main_schema", (MAIN_DATABASE,), check_main_schema),
        Check("indexes", (LOGS_DATABASE, MAIN_DATABASE), check_indexes),
        Check("partitions", (LOGS_DATABASE,), check_partitions),
        Check("retention", (LOGS_DATABASE,), check_retention),
        Check("size", (LOGS_DATABASE,), check_size),
        Check("durability", (REDIS, LOGS_DATABASE, MAIN_DATABASE), check_durability),
        Check("producers", (REDIS,), check_producers),
    )
