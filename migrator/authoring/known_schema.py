"""What is known of the schema that a revision meets: the stored fingerprint of what it builds upon."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migrator.fingerprint import fingerprint_path

if TYPE_CHECKING:
    from migrator.environment import Environment

_LENGTH = re.compile(r"(?P<name>[a-z ]+?)(?: ?\((?P<first>\d+)(?:, ?(?P<second>\d+))?\))?")
_UNLIMITED = {"text", "character varying"}


@dataclass(frozen=True)
class KnownSchema:
    """
    The schema before a revision.

    Args:
        objects: Properties by `<kind> <qualified name>`, as in a fingerprint; empty: nothing is known.
    """

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def type_of(self, table: str, column: str) -> str | None:
        """Return the type of a column, None where that is not known."""
        found: str | None = self.objects.get(f"column {table}.{column}", {}).get("type")
        return found

    def proves_not_null(self, table: str, column: str) -> bool:
        """Whether a valid CHECK says that the column is never null, so that nothing has to be scanned."""
        wanted = f"CHECK (({column} IS NOT NULL))"
        return any(
            name.startswith(f"constraint {table}.") and properties.get("definition") == wanted
            for name, properties in self.objects.items()
        )

    def has_table(self, table: str) -> bool:
        """Whether there is a table of that name, in any schema."""
        return any(name == f"table {table}" or name.endswith(f".{table}") for name in self.objects if "table " in name)

    def is_partitioned(self, table: str) -> bool:
        """Whether the table is partitioned."""
        return self.objects.get(f"table {table}", {}).get("is") == "partitioned table"


def schema_before(environment: Environment, down_revision: str | None) -> KnownSchema:
    """Return what is known of the schema at *down_revision*."""
    if down_revision is None:
        return KnownSchema()
    path = fingerprint_path(environment, down_revision)
    return KnownSchema(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else KnownSchema()


def keeps_files(old: str | None, new: str) -> bool:  # noqa: PLR0911 - a table of cases
    """
    Whether a column changes from type *old* to *new* without rewriting or scanning its table.

    Source: PostgreSQL's binary-coercible types; measured on 15 and 18. The session's TimeZone is UTC.
    """
    if old is None:
        return False
    old, new = _canonical(old), _canonical(new)
    before, after = _LENGTH.fullmatch(old), _LENGTH.fullmatch(new)
    if old == new or (old == "timestamp without time zone" and new == "timestamp with time zone"):
        return True
    if before is None or after is None:
        return False
    names = before["name"], after["name"]
    if names in {("cidr", "inet"), ("character varying", "text"), ("text", "character varying")}:
        return after["first"] is None
    if names[0] != names[1] or names[0] not in {"character varying", "numeric", "bit varying"}:
        return False
    if after["first"] is None:
        return True
    grows = before["first"] is not None and int(after["first"]) >= int(before["first"])
    return grows and (before["second"] or "0") == (after["second"] or "0")


def _canonical(name: str) -> str:
    text = re.sub(r"\s*([(),])\s*", r"\1", " ".join(name.lower().split()))
    for short, long in (
        (r"^varchar\b", "character varying"),
        (r"^decimal\b", "numeric"),
        (r"^timestamptz\b", "timestamp with time zone"),
        (r"^timestamp$", "timestamp without time zone"),
        (r"^varbit\b", "bit varying"),
        (r"^int(4)?$", "integer"),
        (r"^int8$", "bigint"),
    ):
        text = re.sub(short, long, text)
    return text
