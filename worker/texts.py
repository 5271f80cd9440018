"""Texts as PostgreSQL can hold them: no NUL, no lone surrogate, no longer than their column."""

import hashlib
from dataclasses import dataclass
from typing import Any

from log_events.columns import MAX_TEXT_BYTES
from log_events.safe_text import clean_text

CUT_MARK = "…[cut]"


@dataclass(frozen=True, slots=True)
class Truncation:
    """What a text was before it was cut."""

    size_bytes: int
    sha256: str


def storable_json(value: Any) -> Any:
    """A JSON value with all its strings and keys made storable."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): storable_json(item) for key, item in value.items()}
    return value


def fitted(text: str, max_length: int | None) -> tuple[str, Truncation | None]:
    """*text* cut to *max_length* characters, or to MAX_TEXT_BYTES, the cut marked, and what it was before the cut."""
    if max_length is not None and len(text) <= max_length:
        return text, None
    encoded = text.encode()
    if max_length is None and len(encoded) <= MAX_TEXT_BYTES:
        return text, None
    return _cut(text, encoded, max_length), Truncation(len(encoded), hashlib.sha256(encoded).hexdigest())


def _cut(text: str, encoded: bytes, max_length: int | None) -> str:
    if max_length is None:
        kept_bytes = MAX_TEXT_BYTES - len(CUT_MARK.encode())
        return encoded[:kept_bytes].decode(errors="ignore") + CUT_MARK
    if max_length <= len(CUT_MARK):
        return text[:max_length]
    return text[: max_length - len(CUT_MARK)] + CUT_MARK
