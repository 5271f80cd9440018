"""UUID version 7: ids that sort by time, so that an index grows at its edge and a row's day is read from its id."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A = 0xFFF << 64
_RANDOM_B = (1 << 62) - 1


def uuid7(timestamp_ms: int | None = None) -> UUID:
    """
    A new UUIDv7 for *timestamp_ms* (Unix milliseconds; now by default), its 74 random bits from the operating system.

    A clock that goes back changes the order of ids, never their uniqueness, and a forked child shares no state.
    Source: RFC 9562, 5.7.
    """
    moment_ms = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    random = int.from_bytes(os.urandom(10), "big")
    value = (moment_ms & 0xFFFFFFFFFFFF) << 80 | _VERSION | (random & _RANDOM_A) | _VARIANT | (random & _RANDOM_B)
    return UUID(int=value)


def created_at_of(identifier: UUID) -> datetime | None:
    """The UTC time inside a UUIDv7, to the millisecond; None for any other version."""
    if identifier.version != 7:  # noqa: PLR2004 - the version in the module's title
        return None
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)
