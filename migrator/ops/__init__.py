"""
What a revision may use beyond Alembic's own operations; importing it makes them members of `alembic.op`.

`op.create_index_concurrently` builds an index without stopping writers, also on a partitioned table, and
`op.drop_index_concurrently` drops one; `op.attach_as_partition` turns a plain table into a partitioned one while it is
in use, `op.merge_partitions` is the way back.  `op.add_check` and `op.add_not_null` prove a table's rows while it is in
use, `op.run_in_batches` changes them.
"""

from alembic import op

from migrator.consent import require_data_loss_consent
from migrator.ops.batched_change import RunInBatchesOp
from migrator.ops.check_constraint import AddCheckOp
from migrator.ops.concurrent_index import CreateIndexConcurrentlyOp
from migrator.ops.index_removal import DropIndexConcurrentlyOp
from migrator.ops.not_null import AddNotNullOp
from migrator.ops.partition_attachment import AttachAsPartitionOp
from migrator.ops.partition_merging import MergePartitionsOp
from migrator.ops.partition_plan import HandedIndex

__all__ = [
    "AddCheckOp",
    "AddNotNullOp",
    "AttachAsPartitionOp",
    "CreateIndexConcurrentlyOp",
    "DropIndexConcurrentlyOp",
    "HandedIndex",
    "MergePartitionsOp",
    "RunInBatchesOp",
    "require_consent_to_lose",
]


def require_consent_to_lose(what: str) -> None:
    """
    Return if losing *what* was agreed to; the first thing in a `downgrade()` that loses data.

    Raises:
        DataLossRefusedError: Nobody agreed. Nothing was changed.
    """
    require_data_loss_consent(op, what)
