"""
The table of verdicts: what is wrong with an event that cannot become a row, and what may be mended.

The table in docs/verdicts.md is generated from `MENDED` and `MEANINGS`; a test plays each row of it.
"""

from enum import StrEnum

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A larger event becomes a dead letter with its size, its hash and its first bytes."""

KEPT_RAW_BYTES = 64 * 1024
"""How much of a too large event a dead letter keeps."""

MENDED = {
    "NUL, `\\u0000`, lone surrogate or invalid UTF-8 inside a text": "replaced by U+FFFD",
    "text longer than its column, or than 1 MiB": "cut and marked; original size and sha256 in `extra_data._truncated`",
    "level in another case, or a known alias (warn, err, fatal, notice, trace)": "normalised to one of the five",
    "time without zone": "taken as UTC",
    "unknown field": "kept in `extra_data`",
    "same key again, same body": "nothing: it is there already",
}
"""What comes in with a fault that does not cost the event its row, and what is done about it."""


class Reason(StrEnum):
    """Why an event is in ``dead_letters``; the value is what the column ``reason`` holds."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_LEVEL = "unknown_level"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    EXPIRED = "expired"
    TOO_LARGE = "too_large"
    DAMAGED_FRAME = "damaged_frame"
    UNKNOWN_VERSION = "unknown_version"
    CONFLICT = "conflict"
    REFUSED = "refused"


MEANINGS = {
    Reason.NOT_JSON: "it is not JSON, or nested too deeply to be read",
    Reason.NOT_AN_OBJECT: "it is JSON, but no object; or framed, but no array of fields",
    Reason.UNKNOWN_TYPE: "its type is neither system_log nor llm_log",
    Reason.MISSING_FIELD: "a field that every row has is missing",
    Reason.WRONG_TYPE: "a field's value is of another type than its column",
    Reason.OUT_OF_RANGE: "a number is outside its column's range",
    Reason.UNKNOWN_LEVEL: "its level is none of the five, nor a known alias",
    Reason.TIMESTAMP_OUT_OF_RANGE: (
        "its time is older than its table's retention, 30 days where none is set, or more than a day ahead"
    ),
    Reason.EXPIRED: "it waited so long that retention has dropped the rows of its day, which is never made again",
    Reason.TOO_LARGE: "it is larger than 16 MiB; its first 64 KiB are kept",
    Reason.DAMAGED_FRAME: "the frame's checksum or outer structure does not hold",
    Reason.UNKNOWN_VERSION: "the frame is of a version that this worker does not know",
    Reason.CONFLICT: "another event with the same key but another body was first",
    Reason.REFUSED: "PostgreSQL refused the row, or the partition of its day cannot be made; the detail says why",
}
"""What each reason says of an event."""


class RejectedError(Exception):
    """An event cannot become a row: it goes to the dead letters with a *reason* and a *detail* without its content."""

    def __init__(self, reason: Reason, detail: str, event_type: str | None = None) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.event_type = event_type
