"""The ``system_log`` event.  Table: logs_db/models/system_log.py.  API: api/routes/logs.py."""

from uuid import UUID

import msgspec

from log_events.columns import JsonText, Level, Text, Text16, Text32, Text100, Text255, Time


class SystemLogEvent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1, gc=False):
    """
    One line of a program's log, its fields in the order of the table's columns.

    On the wire it is an array, so a field may only ever be added at the end.  The codec refuses a longer array; the
    worker then looks at it closely, and keeps what a newer release has added.
    """

    id: UUID
    created_at: Time
    level: Level
    component: Text100
    message: Text
    error_type: Text255 | None = None
    error_message: Text | None = None
    stack_trace: Text | None = None
    user_id: UUID | None = None
    company_id: UUID | None = None
    request_id: Text100 | None = None
    extra_data: JsonText | None = None
    trace_id: Text32 | None = None
    span_id: Text16 | None = None
    service: Text100 | None = None
    host: Text255 | None = None
