"""What a table is to become: names, keys and days, as a revision writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from migrator.partitioning import Relation, partition_name

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import TextClause

    from migrator.ops.indexes import IndexSpec


@dataclass(frozen=True)
class HandedIndex:
    """
    An index whose name the partitioned table takes over; the legacy table's own is renamed to *legacy_name*.

    *columns* and *where* are as in `create_index_concurrently`.
    """

    name: str
    columns: tuple[str | TextClause, ...]
    legacy_name: str
    where: str | None = None


@dataclass(frozen=True)
class PartitionPlan:
    """How the plain *table* becomes a partition of a table that takes its name; see `op.attach_as_partition`."""

    table: Relation
    key: str
    primary_key: tuple[str, ...]
    primary_key_name: str
    legacy: Relation
    legacy_key: IndexSpec
    indexes: tuple[tuple[IndexSpec, str], ...]
    name_format: str
    days_ahead: int

    @property
    def aside(self) -> Relation:
        """Where rows go whose time lies at or beyond the legacy partition's bound."""
        return self.table.named(f"{self.table.name}_misdated")

    @property
    def interim(self) -> Relation:
        """What the partitioned table is called until it takes over the name."""
        return self.table.named(f"{self.table.name}_partitioned")

    @property
    def interim_key_name(self) -> str:
        """What the partitioned table's primary key is called until then."""
        return f"{self.interim.name}_key"

    @property
    def bound_check(self) -> str:
        """The CHECK that spares ATTACH the scan of the legacy table."""
        return f"{self.legacy.name}_bound"

    @property
    def needed_indexes(self) -> tuple[IndexSpec, ...]:
        """What the legacy table must have before the swap: the new key first, then those that are handed over."""
        return (self.legacy_key, *(index for index, _ in self.indexes))

    def interim_index(self, index: IndexSpec) -> IndexSpec:
        """Return *index* as the partitioned table has it until the legacy table's has given up the name."""
        return replace(index, name=f"{self.interim.name}_{self.indexes_by_name[index.name]}")

    @property
    def indexes_by_name(self) -> dict[str, int]:
        """The place of each index that is handed over, for names of its own."""
        return {index.name: place for place, (index, _) in enumerate(self.indexes)}

    def partition(self, day: date) -> Relation:
        """Return the partition for *day* by name."""
        return self.table.named(partition_name(self.name_format, self.table.name, day))
