"""
What a revision may use beyond Alembic's own operations; importing it makes them members of `alembic.op`.

`op.create_index_concurrently` builds an index without stopping writers, `op.attach_as_partition` turns a plain table
into a partitioned one while it is in use, `op.merge_partitions` is the way back.
"""

from alembic import op

from migrator.consent import require_data_loss_consent
from migrator.ops.concurrent_index import CreateIndexConcurrentlyOp
from migrator.ops.partition_attachment import AttachAsPartitionOp
from migrator.ops.partition_merging import MergePartitionsOp
from migrator.ops.partition_plan import HandedIndex

__all__ = [
    "AttachAsPartitionOp",
    "CreateIndexConcurrentlyOp",
    "HandedIndex",
    "MergePartitionsOp",
    "require_consent_to_lose",
]


def require_consent_to_lose(what: str) -> None:
    """
    Return if losing *what* was agreed to; the first thing in a `downgrade()` that loses data.

    Raises:
        DataLossRefusedError: Nobody agreed. Nothing was changed.
    """
    require_data_loss_consent(op, what)
