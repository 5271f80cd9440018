"""
A database's schema as the catalog shows it, to compare with what a revision should have made.

Alembic's own comparison of models and tables sees a third of what can drift; the catalog shows all of it. One stored
fingerprint per revision, `<environment's folder>/fingerprints/<revision>.json`, serves PostgreSQL 15 to 18.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from migrator.catalog_sql import CATALOG
from migrator.errors import EnvironmentFilesError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg

    from migrator.environment import Environment

Fingerprint = dict[str, dict[str, Any]]
"""Properties by `<kind> <qualified name>`, for example `column public.users.email`."""

# PostgreSQL up to 15 qualifies each column of a view's text, later ones only where it is needed.
_QUALIFIER = re.compile(r'\b[a-z_]\w*\.(?=[a-z_"])')

# Names come out qualified, and no time goes into compiling a statement that runs once.
_SETTINGS = "SELECT pg_catalog.set_config('search_path', '', true), pg_catalog.set_config('jit', 'off', true)"


def read_fingerprint(connection: psycopg.Connection, environment: Environment) -> Fingerprint:
    """
    Return the fingerprint of the database behind *connection*, in some milliseconds and one read-only transaction.

    Version tables and this package's own schema are left out. It waits for whoever keeps a table locked to change it:
    PostgreSQL locks a table for a moment, as a reader does, to write out what depends on it.
    """
    version_tables = [environment.version_table, *environment.foreign_version_tables]
    # Rolled back, because within a transaction of the caller the search_path would stay changed until its end.
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute(_SETTINGS)
        rows = connection.execute(CATALOG, {"version_tables": version_tables}).fetchall()
    return {f"{kind} {name}": _normalised(properties) for kind, name, properties in sorted(rows, key=_kind_and_name)}


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """
    Return what differs, one readable line each; empty where nothing does.

    Of a table that is missing or unexpected as a whole, its columns, indexes and the rest are not listed.
    """
    lines = [f"missing: {name}" for name in _outermost(expected.keys() - found.keys())]
    lines += [f"unexpected: {name}" for name in _outermost(found.keys() - expected.keys())]
    for name in expected.keys() & found.keys():
        wanted, has = _without_known(expected[name], found[name])
        lines += [
            f"different: {name}: {key} is {_shown(has.get(key))}, expected {_shown(wanted.get(key))}"
            for key in sorted(wanted.keys() | has.keys())
            if wanted.get(key) != has.get(key)
        ]
    return sorted(lines)


def fingerprint_path(environment: Environment, revision: str) -> Path:
    """Return where the fingerprint of *revision* is stored."""
    return environment.folder / "fingerprints" / f"{revision}.json"


def stored_fingerprint(environment: Environment, revision: str) -> Fingerprint:
    """
    Return the stored fingerprint of *revision*.

    Raises:
        EnvironmentFilesError: There is none, or it is damaged.
    """
    path = fingerprint_path(environment, revision)
    try:
        fingerprint: Fingerprint = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EnvironmentFilesError(
            f"The fingerprint of revision {revision} cannot be read ({path}: {error}). Write the fingerprints anew "
            "whenever a revision is added."
        ) from error
    return fingerprint


def stored_fingerprints(environment: Environment) -> dict[str, Fingerprint]:
    """Return all stored fingerprints by revision; of revisions that are in versions/ only."""
    revisions = sorted(environment.known_revisions)
    return {
        revision: stored_fingerprint(environment, revision)
        for revision in revisions
        if fingerprint_path(environment, revision).exists()
    }


def rendered(fingerprint: Fingerprint) -> str:
    """Return the text to store: sorted, a property a line, so that git shows what a revision changed."""
    return json.dumps(fingerprint, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _kind_and_name(row: tuple[str, str, object]) -> tuple[str, str]:
    return row[0], row[1]


def _normalised(properties: dict[str, Any]) -> dict[str, Any]:
    if properties.get("is") in {"view", "materialized view"}:
        properties["definition"] = _QUALIFIER.sub("", " ".join(properties["definition"].split()))
    return properties


def _outermost(names: Iterable[str]) -> list[str]:
    """Leave out what belongs to a table that is listed itself."""
    listed = sorted(names)
    tables = tuple(f"{name.removeprefix('table ')}." for name in listed if name.startswith("table "))
    return [name for name in listed if not name.split(" ", 1)[1].startswith(tables)]


def _without_known(wanted: dict[str, Any], has: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leave out of both lists of columns those that only one has: each is told by itself. Their order stays."""
    both = set(wanted.get("columns") or ()) & set(has.get("columns") or ())
    return tuple(  # type: ignore[return-value]  # two in, two out
        {**one, "columns": [column for column in one["columns"] if column in both]} if "columns" in one else one
        for one in (wanted, has)
    )


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
