"""The SQL that would make a catalog what a fingerprint says: for people to read, check and run; never run from here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.fingerprint import Fingerprint

LOSES_DATA = "-- loses data: "
BY_HAND = "-- by hand: "

_PART = re.compile(r'"(?:[^"]|"")+"|[^.]+')
_INVALID = "invalid"
_BY_DEFINITION = frozenset({"trigger", "rule", "statistics", "function"})
# What is in the way goes first, from the outermost; what is missing comes last, from the innermost.
_DROP_ORDER = ("policy", "trigger", "rule", "statistics", "constraint", "index", "column", "table", "function", "type")
_MAKE_ORDER = (
    "type",
    "sequence",
    "function",
    "table",
    "column",
    "index",
    "constraint",
    "statistics",
    "trigger",
    "rule",
)


def repair_statements(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """
    Return the statements that turn what was *found* into what is *expected*, in the order to run them.

    One that would lose rows or a column's values stands behind `LOSES_DATA`, and what no statement is known for behind
    `BY_HAND`, so that whoever runs the whole as it is loses nothing.
    """
    statements: list[str] = []
    for name in _sorted(_outer(found.keys() - expected.keys(), found), _DROP_ORDER):
        if not _is_backing_index(name, found):
            statements += _drop(name, found[name])
    for name in sorted(expected.keys() & found.keys()):
        if not _is_backing_index(name, expected):
            statements += _change(name, expected[name], found[name])
    for name in _sorted(expected.keys() - found.keys(), _MAKE_ORDER):
        if not _is_backing_index(name, expected):
            statements += _make(name, expected, found)
    return statements


def _sorted(names: set[str], order: tuple[str, ...]) -> list[str]:
    def place(name: str) -> tuple[int, bool, str]:
        kind = name.partition(" ")[0]
        return (order.index(kind) if kind in order else len(order), _is_foreign_key(name), name)

    return sorted(names, key=place)


def _is_foreign_key(name: str) -> bool:
    return name.startswith("constraint ") and "_fk" in name


def _outer(names: set[str], found: Fingerprint) -> set[str]:
    """Leave out what goes with its table."""
    tables = {_label(name) for name in names if name.startswith("table ")}
    return {name for name in names if name.startswith("table ") or _owner(name) not in tables or name not in found}


def _is_backing_index(name: str, fingerprint: Fingerprint) -> bool:
    """Whether it is the index of a constraint, which comes and goes with it."""
    if not name.startswith("index "):
        return False
    definition = str(fingerprint.get(f"constraint {_label(name)}", {}).get("definition", ""))
    return definition.startswith(("PRIMARY KEY", "UNIQUE", "EXCLUDE"))


def _label(name: str) -> str:
    return name.partition(" ")[2]


def _parts(name: str) -> list[str]:
    return _PART.findall(_label(name))


def _owner(name: str) -> str:
    """The qualified name of the table that something belongs to."""
    return ".".join(_parts(name)[:2])


def _drop(name: str, has: dict[str, Any]) -> list[str]:
    kind, parts = name.partition(" ")[0], _parts(name)
    table, last = _owner(name), parts[-1]
    if kind == "table":
        is_table = has["is"] in {"table", "partitioned table"}
        what = "TABLE" if is_table else str(has["is"]).upper()
        return [f"{LOSES_DATA if is_table else ''}DROP {what} {_label(name)};"]
    statement = {
        "index": f"DROP INDEX CONCURRENTLY {parts[0]}.{last};",
        "constraint": f"ALTER TABLE {table} DROP CONSTRAINT {last};",
        "column": f"{LOSES_DATA}ALTER TABLE {table} DROP COLUMN {last};",
        "trigger": f"DROP TRIGGER {last} ON {table};",
        "rule": f"DROP RULE {last} ON {table};",
        "policy": f"DROP POLICY {last} ON {table};",
        "statistics": f"DROP STATISTICS {_label(name)};",
        "function": f"DROP FUNCTION {_label(name)};",
    }.get(kind)
    return [statement or f"{BY_HAND}remove {name}"]


def _change(name: str, wanted: dict[str, Any], has: dict[str, Any]) -> list[str]:
    changed = {key for key in wanted.keys() | has.keys() if wanted.get(key) != has.get(key)}
    kind = name.partition(" ")[0]
    statements: list[str] | None = None
    if kind == "column":
        statements = [*_change_column(name, wanted, has, changed)]
    elif kind == "index" and changed:
        statements = _change_index(name, wanted, has, changed)
    elif kind == "constraint" and changed == {"definition"}:
        statements = _change_constraint(name, wanted, has)
    elif kind == "table" and changed == {"columns"} and set(wanted["columns"]) != set(has["columns"]):
        statements = []  # told by the columns themselves
    if statements is None:
        statements = [f"{BY_HAND}{name}: {', '.join(sorted(changed))}"] if changed else []
    return statements


def _change_index(name: str, wanted: dict[str, Any], has: dict[str, Any], changed: set[str]) -> list[str] | None:
    if changed == {_INVALID}:
        return [f"REINDEX INDEX CONCURRENTLY {_parts(name)[0]}.{_parts(name)[-1]};"]
    return [*_drop(name, has), _concurrent(wanted["definition"])] if "definition" in changed else None


def _change_constraint(name: str, wanted: dict[str, Any], has: dict[str, Any]) -> list[str]:
    if str(has["definition"]).removesuffix(" NOT VALID") == wanted["definition"]:
        return [f"ALTER TABLE {_owner(name)} VALIDATE CONSTRAINT {_parts(name)[-1]};"]
    return [*_drop(name, has), _add_constraint(name, wanted)]


def _change_column(name: str, wanted: dict[str, Any], has: dict[str, Any], changed: set[str]) -> Iterator[str]:
    column = _parts(name)[-1]
    alter = f"ALTER TABLE {_owner(name)} ALTER COLUMN {column}"
    if changed & {"type", "collation"}:
        collation = wanted.get("collation") or ('"default"' if has.get("collation") else None)
        collate = f" COLLATE {collation}" if collation else ""
        yield f"{alter} TYPE {wanted['type']}{collate} USING {column}::{wanted['type']};"
    if "default" in changed:
        default = wanted.get("default")
        yield f"{alter} {f'SET DEFAULT {default}' if default else 'DROP DEFAULT'};"
    if "not null" in changed:
        yield f"{alter} {'SET' if wanted.get('not null') else 'DROP'} NOT NULL;"
    if "comment" in changed:
        yield f"COMMENT ON COLUMN {_label(name)} IS {_text(wanted.get('comment'))};"
    rest = changed - {"type", "collation", "default", "not null", "comment"}
    if rest:
        yield f"{BY_HAND}{name}: {', '.join(sorted(rest))}"


def _make(name: str, expected: Fingerprint, found: Fingerprint) -> list[str]:
    kind, wanted = name.partition(" ")[0], expected[name]
    statements = [f"{BY_HAND}make {name}"]
    if kind == "table" and wanted["is"] in {"table", "partitioned table"}:
        statements = [_create_table(name, expected)]
    elif kind == "column":
        is_new_table = f"table {_owner(name)}" not in found
        added = f"ALTER TABLE {_owner(name)} ADD COLUMN {_column(name, wanted)};"
        statements = [*([] if is_new_table else [added]), *_comment(name, wanted)]
    elif kind == "constraint":
        statements = [_add_constraint(name, wanted)]
    elif kind == "index":
        statements = [_concurrent(wanted["definition"])]
    elif kind in _BY_DEFINITION and wanted.get("definition") != "aggregate":
        statements = [f"{str(wanted['definition']).rstrip().rstrip(';')};"]
    return statements


def _create_table(name: str, expected: Fingerprint) -> str:
    wanted, label = expected[name], _label(name)
    columns = {_parts(one)[-1]: one for one in expected if one.startswith("column ") and _owner(one) == label}
    ordered = [columns[column] for column in map(_quoted, wanted["columns"])]
    body = ", ".join(_column(column, expected[column]) for column in ordered)
    partitioned = f" PARTITION BY {wanted['partitioned by']}" if wanted.get("partitioned by") else ""
    return f"CREATE TABLE {label} ({body}){partitioned};"


def _column(name: str, wanted: dict[str, Any]) -> str:
    parts = [_parts(name)[-1], str(wanted["type"])]
    if wanted.get("collation"):
        parts.append(f"COLLATE {wanted['collation']}")
    if wanted.get("identity"):
        parts.append(f"GENERATED {str(wanted['identity']).upper()} AS IDENTITY")
    if wanted.get("generated"):
        expression, _, stored = str(wanted["generated"]).rpartition(" ")
        parts.append(f"GENERATED ALWAYS AS ({expression}) {stored.upper()}")
    if wanted.get("default"):
        parts.append(f"DEFAULT {wanted['default']}")
    if wanted.get("not null"):
        parts.append("NOT NULL")
    return " ".join(parts)


def _comment(name: str, wanted: dict[str, Any]) -> list[str]:
    return [f"COMMENT ON COLUMN {_label(name)} IS {_text(wanted['comment'])};"] if wanted.get("comment") else []


def _add_constraint(name: str, wanted: dict[str, Any]) -> str:
    return f"ALTER TABLE {_owner(name)} ADD CONSTRAINT {_parts(name)[-1]} {wanted['definition']};"


def _concurrent(definition: str) -> str:
    """Build it without stopping writers, where that is possible: not on a partitioned table."""
    if " ON ONLY " in definition:
        return f"{definition.replace(' ON ONLY ', ' ON ', 1)};"
    return f"{definition.replace(' INDEX ', ' INDEX CONCURRENTLY ', 1)};"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else f'"{name.replace(chr(34), chr(34) * 2)}"'


def _text(value: str | None) -> str:
    return "NULL" if value is None else f"'{value.replace(chr(39), chr(39) * 2)}'"
