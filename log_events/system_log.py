"""The ``system_log`` event.  Table: logs_db/models/system_log.py.  API: api/routes/logs.py."""

from datetime import datetime
from uuid import UUID

import msgspec


class SystemLogEvent(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """
    One line of a program's log, its fields in the order of the table's columns.

    On the wire it is an array, so a field may only ever be added at the end.
    """

    id: UUID
    created_at: datetime
    level: str
    component: str
    message: str
    error_type: str | None = None
    error_message: str | None = None
    stack_trace: str | None = None
    user_id: UUID | None = None
    company_id: UUID | None = None
    request_id: str | None = None
    extra_data: str | None = None
    """JSON text of an object: encoded once, by the producer, and copied into jsonb as it is."""
    trace_id: str | None = None
    span_id: str | None = None
    service: str | None = None
    host: str | None = None
