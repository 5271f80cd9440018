"""
Milliseconds of `db check` for 200 tables with 400 partitions (limit 200), and what it finds beside `alembic check`.

Each kind of drift of tests/fixtures/drift_kinds.py is made by hand in a database of its own at its revision.
"""

import contextlib
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import psycopg
from alembic import command
from alembic.util import CommandError

from migrator.configuration import alembic_config
from migrator.drift import read_drift
from migrator.fingerprint_files import write_fingerprints
from migrator.upgrade import upgrade_to_head
from servers.postgres import PostgresBinaries, PostgresServer, all_binaries
from tests.fixtures.drift_kinds import FOUND, FOUND_BY_PLUGIN, LISTED, MISSED, MODELS, MORE, SCHEMA, DriftKind
from tests.fixtures.small_environment import SmallEnvironment, small_environment

TABLES = 200
PARTITIONS = 400
RUNS = 20
# An env.py by the manual: both comparisons on, partitions left out by the pattern of their name.
PLAIN_ENV = """
import re
from alembic import context
from sqlalchemy import Column, MetaData, Table
metadata = MetaData()
{models}
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table="small_version",
    compare_type=True, compare_server_default=True,
    include_name=lambda name, type_, parents: type_ != "table" or not re.match("days_", name),
)
with context.begin_transaction():
    context.run_migrations()
"""
MANY = f"""
DO $$ BEGIN
FOR n IN 1..{TABLES - 4} LOOP
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text NOT NULL, b numeric DEFAULT 0 CHECK (b >= 0), '
                   'c int REFERENCES parents (id), d timestamptz DEFAULT now())', n);
    EXECUTE format('CREATE INDEX ON t%s (a, d DESC) WHERE b > 1', n);
END LOOP;
FOR t IN 1..4 LOOP
    EXECUTE format('CREATE TABLE p%s (day date NOT NULL, id int NOT NULL, more text, PRIMARY KEY (day, id)) '
                   'PARTITION BY RANGE (day)', t);
    EXECUTE format('CREATE INDEX ON p%s (more)', t);
    FOR n IN 1..{PARTITIONS // 4} LOOP
        EXECUTE format('CREATE TABLE p%s_%s PARTITION OF p%s FOR VALUES FROM (%L) TO (%L)',
                       t, n, t, date '2026-01-01' + n, date '2026-01-01' + n + 1);
    END LOOP;
END LOOP;
END $$
"""


def main() -> None:
    """Print found / made for each list and tool, false alarms, and p50 and p95 of a check at size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = small_environment(folder / "ours", models=MODELS).add("r1", f'op.execute("""{SCHEMA}""")')
        plain = small_environment(folder / "plain", models=MODELS).add("r1", f'op.execute("""{SCHEMA}""")')
        (plain.folder / "env.py").write_text(PLAIN_ENV.format(models=MODELS))
        many = small_environment(folder / "many").add("r1", f'op.execute("""{SCHEMA};{MANY}""")')
        for number, binaries in enumerate(all_binaries()):
            with PostgresServer.start(folder / f"postgres{number}", binaries=binaries, durable=False) as server:
                if not number:
                    write_fingerprints(ours.environment, server.create_database("fingerprints"))
                    write_fingerprints(many.environment, server.create_database("many_fingerprints"))
                _measure(binaries, server, ours, plain, many)


def _measure(
    binaries: PostgresBinaries, server: PostgresServer, ours: SmallEnvironment, plain: SmallEnvironment,
    many: SmallEnvironment,
) -> None:  # fmt: skip
    def check(url: str) -> bool:
        with psycopg.connect(url, autocommit=True) as connection:
            return bool(read_drift(connection, ours.environment))

    tools: dict[str, Callable[[str], bool]] = {
        "db check": check,
        "alembic check, our env.py": lambda url: _alembic_finds(ours, url),
        "alembic check, plain env.py": lambda url: _alembic_finds(plain, url),
    }
    print(f"  PostgreSQL {binaries.major}:")
    seen: dict[str, set[str]] = {tool: set() for tool in tools}
    for number, kind in enumerate((None, *LISTED, *MORE)):
        url = server.create_database(f"drift_{number}")
        upgrade_to_head(ours.environment, url)
        if kind is not None:
            _drift(url, kind)
        for tool, finds in tools.items():
            if finds(url):
                seen[tool].add(kind.name if kind else "clean")
        server.drop_database(f"drift_{number}")
    for tool in tools:
        print(f"    {tool:<28} {_told(seen[tool])}; false alarms {int('clean' in seen[tool])}")
    print(f"    alembic check, our env.py, misses: {', '.join(_missed(seen['alembic check, our env.py']))}")
    _time(server, many)


def _told(seen: set[str]) -> str:
    lists: dict[str, Iterable[DriftKind]] = {
        "listed": LISTED, "of Found": FOUND, "of +3": FOUND_BY_PLUGIN, "of Missed": MISSED, "more": MORE
    }  # fmt: skip
    return ", ".join(
        f"{sum(kind.name in seen for kind in kinds)} / {len([*kinds])} {name}" for name, kinds in lists.items()
    )


def _missed(seen: set[str]) -> list[str]:
    return [kind.name for kind in (*LISTED, *MORE) if kind.name not in seen]


def _drift(url: str, kind: DriftKind) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in kind.statements:
            # A broken build is what some of them are about.
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                connection.execute(statement)


def _alembic_finds(small: SmallEnvironment, url: str) -> bool:
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - of this tool only

    from migrator.urls import engine_url  # noqa: PLC0415 - likewise

    engine = create_engine(engine_url(url), poolclass=NullPool)
    with engine.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            command.check(alembic_config(small.environment, stdout=io.StringIO(), connection=connection))
        except CommandError:
            return True
    return False


def _time(server: PostgresServer, many: SmallEnvironment) -> None:
    url = server.create_database("many")
    upgrade_to_head(many.environment, url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        assert read_drift(connection, many.environment) == []
        check = _milliseconds(lambda: read_drift(connection, many.environment))
    autogenerate = _milliseconds(lambda: _alembic_finds(many, url), runs=3)
    print(
        f"    {TABLES} tables, {PARTITIONS} partitions: db check p50 {check[0]:.0f} ms, p95 {check[1]:.0f} ms;", end=""
    )
    print(f" alembic check p50 {autogenerate[0]:.0f} ms")


def _milliseconds(action: Callable[[], object], runs: int = RUNS) -> tuple[float, float]:
    durations = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        durations.append((time.perf_counter() - started) * 1000)
    return statistics.median(durations), statistics.quantiles(durations, n=20)[-1]


if __name__ == "__main__":
    main()
