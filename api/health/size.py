"""The check of size: what the logs database takes, how fast it grows, and how long its limit will last."""

from typing import Final

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.thresholds import SIZE_WARN_DAYS
from api.settings import ApiSettings
from logs_db.size import DatabaseSize, read_size

_CURE: Final = "Give it more disk and raise LOGS_DATABASE_MAX_BYTES, or keep rows for fewer days, see `retention`."
_SHOWN: Final = 3


def check_size(dependencies: Dependencies) -> CheckResult:
    """How many bytes the logs database takes."""
    with dependencies.logs_database() as connection:
        size = read_size(connection)
    findings = [found for found in (_of_limit(size, dependencies.settings), _of_dead_rows(size)) if found]
    return CheckResult.of(findings, value=size.total_bytes, unit="bytes", summary=_summary(size))


def _summary(size: DatabaseSize) -> str:
    largest = sorted(size.tables, key=lambda table: -table.bytes)[:_SHOWN]
    told = f"It takes {size.total_bytes} bytes: {', '.join(f'{table.name} {table.bytes}' for table in largest)}."
    growth = size.growth_bytes
    return f"{told} No day is over yet that would tell its growth." if growth is None else f"{told} +{growth} a day."


def _of_limit(size: DatabaseSize, settings: ApiSettings) -> Finding | None:
    limit = settings.logs_database_max_bytes
    days = None if limit is None else size.days_until(limit, settings.retention)
    if days is None or days > SIZE_WARN_DAYS:
        return None
    if days == 0:
        return failure(f"That is more than LOGS_DATABASE_MAX_BYTES, {limit}; nothing is stopped. {_CURE}")
    return warning(f"LOGS_DATABASE_MAX_BYTES, {limit}, will be reached in {days} days. {_CURE}")


def _of_dead_rows(size: DatabaseSize) -> Finding | None:
    if not size.bloated:
        return None
    worst = max(size.bloated, key=lambda piece: piece.dead_rows)
    return warning(
        f"{len(size.bloated)} tables are full of dead rows, {worst.name} with {worst.dead_rows} most: autovacuum does "
        f"not keep up or a long transaction holds it; end that, or run VACUUM public.{worst.name};"
    )
