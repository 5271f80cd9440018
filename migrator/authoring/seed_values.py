"""One value for one column of a made-up row, as an expression of the row's number."""

from __future__ import annotations

import re
from typing import Any

from psycopg import sql

# `= ANY (ARRAY['a'::text, ...])` is how the server writes `IN ('a', ...)`.
_ONE_OF = re.compile(r"= ANY \(+ARRAY\[(?P<labels>[^\]]+)\]")
_LABEL = re.compile(r"'((?:[^']|'')*)'")

_BY_TYPE = {
    "smallint": "({g} %% 30000)::smallint",
    "integer": "({g} %% 2000000000)::integer",
    "bigint": "{g}",
    "real": "({g} %% 1000)::real",
    "double precision": "{g}::double precision",
    "numeric": "({g} %% 1000)::numeric / 10",
    "money": "({g} %% 1000)::numeric::money",
    "boolean": "({g} %% 2 = 0)",
    "uuid": "pg_catalog.md5({g}::text)::uuid",
    "bytea": "pg_catalog.sha256(pg_catalog.int8send({g}))",
    "timestamp with time zone": "now() - {g} %% 3600 * interval '1 second'",
    "timestamp without time zone": "localtimestamp - {g} %% 3600 * interval '1 second'",
    "date": "current_date - ({g} %% 365)::integer",
    "time without time zone": "time '00:00' + {g} %% 86400 * interval '1 second'",
    "time with time zone": "timetz '00:00+00'",
    "interval": "({g} %% 1000) * interval '1 second'",
    "json": "'{{}}'::json",
    "jsonb": "'{{}}'::jsonb",
    "inet": "inet '10.0.0.0' + {g} %% 16777216",
    "cidr": "cidr '10.0.0.0/8'",
    "macaddr": "macaddr '08:00:2b:01:02:03'",
    "oid": "1::oid",
    "tsvector": "''::tsvector",
    "point": "point(0, 0)",
    "xml": "'<a/>'::xml",
}
# Words in a column's name, and what programs put into such a column.
_BY_NAME = {
    "email": "'u' || {g} || '@example.org'",
    "url": "'https://example.org/' || {g}",
    "slug": "'s-' || {g}",
    "currency": "'EUR'",
    "country": "'DE'",
    "phone": "'+49301234567'",
    "trace_id": "pg_catalog.md5({g}::text)",
    "sha256": "pg_catalog.encode(pg_catalog.sha256(pg_catalog.int8send({g})), 'hex')",
    "hash": "'$argon2id$' || pg_catalog.md5({g}::text)",
}
# Of other types than text.
_OTHER_BY_NAME = {
    "expires_at": "now() + {g} %% 3600 * interval '1 second' + interval '1 day'",
    "valid_until": "now() + interval '1 day'",
    "size_bytes": "32",  # as long as what stands for bytea
}
_DIGITS = 11
_TEXTS = {"text", "character varying", "character", "citext", "name"}


def value_of(  # noqa: PLR0911 - a table of cases
    column: dict[str, Any], checks: list[str], row: sql.Composable
) -> sql.Composable | None:
    """
    Return an expression for *column* in the row whose number is *row*; None: leave it out.

    A column that may be null is left out where a CHECK binds it in a way that is not a plain list.
    """
    labels = next((match["labels"] for check in checks if (match := _ONE_OF.search(check))), None)
    if labels is not None and len(checks) == 1:
        choices = [label.replace("''", "'") for label in _LABEL.findall(labels)]
        listed = sql.SQL(", ").join(map(sql.Literal, choices))
        return sql.SQL("(ARRAY[{}])[1 + {} %% {}]").format(listed, row, sql.Literal(len(choices)))
    if checks and not column["required"]:
        return None
    if labels is not None:
        return sql.Literal(_LABEL.findall(labels)[0])
    if column["kind"] == "e":
        name = sql.SQL(column["type"])
        return sql.SQL("(pg_catalog.enum_range(NULL::{}))[1]").format(name)
    if column["type"] in _TEXTS:
        return _text(column, row)
    if column["category"] == "A":
        return sql.SQL("'{{}}'").format()
    if column["category"] == "R":
        return sql.SQL("'empty'")
    if checks and column["type"] == "boolean":
        return sql.SQL("true")
    pattern = _by_name(_OTHER_BY_NAME, column, _BY_TYPE.get(column["type"]))
    return None if pattern is None else _filled(pattern, row)


def _text(column: dict[str, Any], row: sql.Composable) -> sql.Composable:
    fits = column["length"] is None or column["length"] > len(column["name"]) + _DIGITS
    pattern = _by_name(_BY_NAME, column, "{name} || '_' || {g}" if fits else "'x' || {g}")
    value = _filled(pattern, row, name=sql.Literal(column["name"]))
    if column["length"] is None:
        return value
    return sql.SQL("pg_catalog.left({}, {})").format(value, sql.Literal(column["length"]))


def _by_name(patterns: dict[str, str], column: dict[str, Any], otherwise: Any) -> Any:
    return next((pattern for word, pattern in patterns.items() if word in column["name"]), otherwise)


def _filled(pattern: str, row: sql.Composable, **more: sql.Composable) -> sql.Composable:
    return sql.SQL(pattern).format(g=row, **more)
