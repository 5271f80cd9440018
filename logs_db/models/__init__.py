"""The logs database's tables.  Importing this package registers every one of them on ``LogsBase.metadata``."""

from logs_db.models.base import LogsBase
from logs_db.models.dead_letter import DeadLetter
from logs_db.models.ledger import LedgerEntry, LedgerHour
from logs_db.models.llm_log import LlmLog
from logs_db.models.llm_payload import LlmPayload
from logs_db.models.retention import ArchivedPartition, DroppedPartition, RetentionState
from logs_db.models.rollup import (
    LlmLatencyDelta,
    LlmLatencyHour,
    LlmLogDelta,
    LlmLogHour,
    LlmLogMinute,
    RollupDay,
    SystemLogDelta,
    SystemLogHour,
    SystemLogMinute,
)
from logs_db.models.system_log import SystemLog

__all__ = [
    "ArchivedPartition",
    "DeadLetter",
    "DroppedPartition",
    "LedgerEntry",
    "LedgerHour",
    "LlmLatencyDelta",
    "LlmLatencyHour",
    "LlmLog",
    "LlmLogDelta",
    "LlmLogHour",
    "LlmLogMinute",
    "LlmPayload",
    "LogsBase",
    "RetentionState",
    "RollupDay",
    "SystemLog",
    "SystemLogDelta",
    "SystemLogHour",
    "SystemLogMinute",
]
