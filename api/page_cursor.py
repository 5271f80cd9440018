"""
The opaque cursor of a page of logs: where the page ended, in which window, signed for one query.

It carries the window, so that a default window does not move between two pages, and a signature over the query's own
words, so that a cursor goes on with the query that it came from and with no other.
"""

import hashlib
import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from logs_db.queries import Position, Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS = struct.Struct(">qqq16s")
_SIGNATURE_BYTES = 16
_TEXT = re.compile(r"[A-Za-z0-9_-]{75}")


class CursorError(ValueError):
    """The cursor was altered, or belongs to another query; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PageCursor:
    """The window of a query and the last row that was given."""

    window: Window
    after: Position


class CursorCodec:
    """
    Writes and reads cursors.

    Args:
        secret: Cursors are good as long as this stays the same.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.sha256(b"headhunter page cursor\0" + secret).digest()

    def encode(self, cursor: PageCursor, query: str) -> str:
        """The text of *cursor* for the pages of *query*, a text that tells queries apart."""
        fields = _FIELDS.pack(
            _microseconds(cursor.window.since),
            _microseconds(cursor.window.until),
            _microseconds(cursor.after.created_at),
            cursor.after.id.bytes,
        )
        return urlsafe_b64encode(fields + self._signature(fields, query)).decode().rstrip("=")

    def decode(self, text: str, query: str) -> PageCursor:
        """
        The cursor that `encode` wrote for *query*.

        Raises:
            CursorError: It was not written for this query, or not by us.
        """
        raw = urlsafe_b64decode(text + "=") if _TEXT.fullmatch(text) else b""
        fields, signature = raw[: _FIELDS.size], raw[_FIELDS.size :]
        # The last character has bits to spare; only one spelling is ours.
        is_ours = urlsafe_b64encode(raw).decode().rstrip("=") == text
        if not (hmac.compare_digest(signature, self._signature(fields, query)) and is_ours):
            raise CursorError(
                "This cursor belongs to another query or was altered: repeat the query that gave it, "
                "with the same filters, or leave the cursor out to begin anew."
            )
        since, until, created_at, identifier = _FIELDS.unpack(fields)
        return PageCursor(Window(_moment(since), _moment(until)), Position(_moment(created_at), UUID(bytes=identifier)))

    def _signature(self, fields: bytes, query: str) -> bytes:
        return hmac.digest(self._key, fields + query.encode(), "sha256")[:_SIGNATURE_BYTES]


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
