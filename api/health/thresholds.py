"""Every limit from which health calls something bad, in one place."""

CHECK_SECONDS = 0.7
"""What one check may take; all run at once, so the whole answer stays below a second."""
STATEMENT_MS = 500
"""What the server may spend on one statement of a check: less than the check has, so that it can say why."""
REDIS_SECONDS = 0.5
"""What Redis may take to connect, and again to answer one command of a check."""

QUEUE_WARN_EVENTS = 100_000
"""Events in the queue, list and stream together: more is a warning."""
QUEUE_WARN_AGE_SECONDS = 30.0
"""Age of the oldest event in the stream: older is a warning."""
QUEUE_FAIL_AGE_SECONDS = 300.0
"""Age of the oldest event in the stream: older is a failure."""
QUEUE_WARN_SHARE = 0.5
"""Share of LOGS_QUEUE_MAX_BYTES: more is a warning."""
QUEUE_FAIL_SHARE = 0.95
"""Share of LOGS_QUEUE_MAX_BYTES: more is a failure, for the next frame may be refused."""
MEMORY_WARN_SHARE = 0.8
"""Share of Redis's maxmemory: more is a warning."""
MEMORY_FAIL_SHARE = 0.95
"""Share of Redis's maxmemory: more is a failure, for Redis is about to refuse events."""

WORKER_SILENT_SECONDS = 10.0
"""Age of a worker's last heartbeat from which it counts as silent: stopped, dead, or cut off from Redis."""
WORKER_STUCK_SECONDS = 30.0
"""Time without progress from which a worker that still sends heartbeats counts as stuck."""
WORKER_GONE_SECONDS = 600.0
"""A worker silent for longer is no longer mentioned while others work: it is gone, not troubled."""

WRITE_WARN_SECONDS = 30.0
"""Time that events wait without anything being written: more is a warning."""
WRITE_FAIL_SECONDS = 60.0
"""Time that events wait without anything being written: more is a failure."""

DEAD_LETTERS_WARN = 1
"""Dead letters of the last 24 hours, replayed ones not counted: as many are a warning, never a failure."""
DEAD_LETTERS_WARN_SHARE = 0.8
"""Share of DEAD_LETTERS_MAX_BYTES: more is a warning."""
DEAD_LETTERS_FAIL_SHARE = 1.0
"""Share of DEAD_LETTERS_MAX_BYTES: as much is a failure, for only the disk stops them now."""

PARTITIONS_WARN_DAYS = 3.0
"""Days covered ahead of now: fewer are a warning; the worker keeps 7."""
PARTITIONS_FAIL_DAYS = 1.0
"""Days covered ahead of now: fewer are a failure, for events may carry a time up to one day ahead."""

RETENTION_LATE_SECONDS = 3600.0
"""Time since a partition was past its retention: longer is a warning; workers drop it within minutes."""

SIZE_WARN_DAYS = 14
"""Days until LOGS_DATABASE_MAX_BYTES is reached: as many or fewer are a warning, none is a failure."""

PRODUCER_GONE_SECONDS = 60.0
"""A producer that has not reported for longer has ended: what it held no longer counts, what it dropped still does."""
BUFFERED_WARN_EVENTS = 10_000
"""Events in the buffers of all producers: more is a warning, for buffers are lost with their process."""
