"""What ``headhunter db status logs`` shows of the database's size, for people and for programs."""

from dataclasses import asdict
from typing import Any, Final

import psycopg
import typer

from headhunter.output import print_table
from logs_db.size import LOOK_AHEAD_DAYS, DatabaseSize, read_size
from logs_db.size_settings import SizeSettings

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_UNIT: Final = 1024


def ask_size(connection: psycopg.Connection[Any]) -> DatabaseSize | None:
    """The sizes, or None while a table is locked: whoever asks for the state wants to know of that, not to wait too."""
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '1s'")
            return read_size(connection)
    except psycopg.errors.LockNotAvailable:
        return None


def told_size(size: DatabaseSize) -> dict[str, Any]:
    """*size* for programs: bytes, and days until LOGS_DATABASE_MAX_BYTES, null where that is not set or far."""
    settings = SizeSettings()
    limit = settings.logs_database_max_bytes
    return {
        "total_bytes": size.total_bytes,
        "growth_bytes_a_day": size.growth_bytes,
        "max_bytes": limit,
        "days_until_max": None if limit is None else size.days_until(limit, settings.retention),
        "tables": [asdict(table) | {"bytes": table.bytes} for table in size.tables],
    }


def size_rows(size: DatabaseSize) -> dict[str, object]:
    """What stands of *size* among the other facts of a database."""
    told = told_size(size)
    growth = told["growth_bytes_a_day"]
    return {
        "size": readable(size.total_bytes),
        "grows by": "not known before a day is over" if growth is None else f"{readable(growth)} a day",
        "limit": _limit(told["max_bytes"], told["days_until_max"]),
        "full of dead rows": ", ".join(piece.name for piece in size.bloated) or "nothing",
    }


def show_size(size: DatabaseSize) -> None:
    """Show each table, and each partition below its table."""
    typer.echo()
    rows: list[tuple[object, ...]] = []
    for table in size.tables:
        growth = "" if table.growth_bytes is None else readable(table.growth_bytes)
        live, dead = (sum(getattr(piece, name) for piece in table.pieces) for name in ("live_rows", "dead_rows"))
        rows.append((table.name, readable(table.bytes), growth, live, dead))
        if [piece.name for piece in table.pieces] != [table.name]:
            rows += [
                (f"  {piece.name}", readable(piece.bytes), "", piece.live_rows, piece.dead_rows)
                for piece in table.pieces
            ]
    print_table(("table", "size", "grows a day by", "rows, about", "dead rows, about"), rows)


def readable(size: int) -> str:
    """A number of bytes, for people."""
    value, unit = float(size), 0
    while value >= _UNIT and unit < len(_UNITS) - 1:
        value, unit = value / _UNIT, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _limit(max_bytes: int | None, days: int | None) -> str:
    if max_bytes is None:
        return "LOGS_DATABASE_MAX_BYTES is not set"
    if days is None:
        return f"{readable(max_bytes)}, not reached within {LOOK_AHEAD_DAYS} days"
    return f"{readable(max_bytes)}, reached" if days == 0 else f"{readable(max_bytes)}, reached in {days} days"
