"""The operation by which autogenerate says that a partitioned table is not what the models describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate import renderers
from alembic.operations.ops import MigrateOperation
from psycopg import sql

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


class PartitionChangeOp(MigrateOperation):
    """
    One difference around a partitioned table, and the statements that level it where there are some.

    Without statements it renders as an error to raise, so that nobody runs the revision before a person has decided.

    Args:
        sentence: What differs, and what to do.
        up: The statement that levels it.
        down: The statement that undoes that.
    """

    def __init__(self, sentence: str, up: str | None = None, down: str | None = None) -> None:
        self.sentence = sentence
        self.up = up
        self.down = down

    @classmethod
    def create(
        cls, sentence: str, parent: tuple[str, str], partition: tuple[str, str], bound: str
    ) -> PartitionChangeOp:
        """Return the change that makes *partition* anew."""
        child, table = (sql.Identifier(*name).as_string() for name in (partition, parent))
        return cls(sentence, f"CREATE TABLE {child} PARTITION OF {table} {bound}", f"DROP TABLE {child}")

    @classmethod
    def attach(
        cls, sentence: str, parent: tuple[str, str], partition: tuple[str, str], bound: str
    ) -> PartitionChangeOp:
        """Return the change that attaches *partition*, which is there as a table of its own."""
        child, table = (sql.Identifier(*name).as_string() for name in (partition, parent))
        return cls(
            sentence,
            f"ALTER TABLE {table} ATTACH PARTITION {child} {bound}",
            f"ALTER TABLE {table} DETACH PARTITION {child}",
        )

    def reverse(self) -> PartitionChangeOp:
        """Return what undoes it."""
        return PartitionChangeOp(self.sentence, self.down, self.up)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return how `alembic check` shows it."""
        return ("partitioning", self.sentence)


@renderers.dispatch_for(PartitionChangeOp)
def _render(_: AutogenContext, operation: PartitionChangeOp) -> list[str]:
    if operation.up is None:
        return [f"raise NotImplementedError({operation.sentence!r})"]
    return [f"# {operation.sentence}", f"op.execute({operation.up!r})"]
