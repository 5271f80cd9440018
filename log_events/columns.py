"""
The kinds of columns that events have, with the limits that PostgreSQL sets them.

The codec checks these limits while it decodes, so a frame that passes needs no second look.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

INT32_MAX = 2**31 - 1

MAX_TEXT_BYTES = 1024 * 1024
"""The longest text that a row may hold in UTF-8; a longer one is cut."""

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Text16 = Annotated[str, Meta(max_length=16)]
Text20 = Annotated[str, Meta(max_length=20)]
Text32 = Annotated[str, Meta(max_length=32)]
Text50 = Annotated[str, Meta(max_length=50)]
Text100 = Annotated[str, Meta(max_length=100)]
Text255 = Annotated[str, Meta(max_length=255)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_BYTES // 4)]
"""As many characters as surely fit into MAX_TEXT_BYTES; a longer text is measured in bytes by the worker."""
JsonText = Annotated[str, Meta(min_length=2)]
"""JSON text of an object: encoded once, by the producer, and copied into jsonb as it is."""
Count = Annotated[int, Meta(ge=-INT32_MAX - 1, le=INT32_MAX)]
Time = Annotated[datetime, Meta(tz=True)]
