"""`op.attach_as_partition`: a plain table in use becomes the first partition of a table that takes its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import MigrateOperation, Operations

from migrator.ops.conversion import convert
from migrator.ops.indexes import IndexSpec
from migrator.ops.offline_attachment import attachment_script
from migrator.ops.partition_plan import HandedIndex, PartitionPlan
from migrator.ops.session import online_session
from migrator.partitioning import Relation

if TYPE_CHECKING:
    from collections.abc import Sequence


@Operations.register_operation("attach_as_partition")
class AttachAsPartitionOp(MigrateOperation):
    """The operation as Alembic passes it on."""

    def __init__(self, plan: PartitionPlan) -> None:
        self.plan = plan

    @classmethod
    def attach_as_partition(
        cls,
        operations: Operations,
        table: str,
        *,
        key: str,
        primary_key: Sequence[str],
        primary_key_name: str,
        legacy_partition: str,
        legacy_primary_key_name: str,
        indexes: Sequence[HandedIndex] = (),
        partition_name: str = "{table}_{day:%Y_%m_%d}",
        days_ahead: int = 7,
        schema: str = "public",
    ) -> None:
        """
        Make *table* a daily range partitioned one while it is in use; the only thing that its revision may do.

        The plain table becomes the partition *legacy_partition*, from the beginning of time to a UTC midnight at
        least two days ahead; later days, up to *days_ahead* from today, get partitions of their own.  Owner, grants,
        comments, defaults, storage parameters and statistics targets are kept, and so are the names of *indexes*.
        Rows dated beyond the bound are moved to `<table>_misdated`.  An empty table is replaced.

        Killed at any point and run again, it goes on from what the catalog shows.

        Args:
            operations: Given by Alembic.
            table: A plain table; clients go on using it throughout.
            key: Its timestamptz column to partition by, NOT NULL.
            primary_key: Columns of the new primary key, *key* among them, all NOT NULL.
            primary_key_name: Name of the new table's primary key.
            legacy_partition: What the plain table is called from then on.
            legacy_primary_key_name: Name of that partition's primary key.
            indexes: Indexes of the plain table whose names the new table takes over.
            partition_name: Format of a partition's name, of `table` and `day`.
            days_ahead: For how many days after today there are to be partitions.
            schema: Where all of that is.

        Raises:
            PermanentError: Views, foreign keys, triggers or the like hang on the table, or its columns are not fit.
            TemporaryError: Others were in the way for too long; run it again.
        """
        relation = Relation(schema, table)
        plan = PartitionPlan(
            table=relation,
            key=key,
            primary_key=tuple(primary_key),
            primary_key_name=primary_key_name,
            legacy=relation.named(legacy_partition),
            legacy_key=IndexSpec(legacy_primary_key_name, tuple(primary_key), unique=True),
            indexes=tuple(
                (IndexSpec(index.name, tuple(index.columns), where=index.where), index.legacy_name) for index in indexes
            ),
            name_format=partition_name,
            days_ahead=days_ahead,
        )
        operations.invoke(cls(plan))


@Operations.implementation_for(AttachAsPartitionOp)
def _attach_as_partition(operations: Operations, operation: AttachAsPartitionOp) -> None:
    context = operations.get_context()
    if context.as_sql:
        context.impl.static_output(attachment_script(operation.plan))
        return
    with online_session(operations) as connection:
        convert(connection, operation.plan)
