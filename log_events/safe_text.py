"""Text that PostgreSQL and UTF-8 can carry: NUL and lone surrogates, which they cannot, become U+FFFD."""

import re

import msgspec

from log_events.wire import LogEvent, encode_event

_UNCARRIABLE = re.compile("[\0\ud800-\udfff]")


def clean_text(text: str) -> str:
    """*text* itself where it can be carried, else a copy with U+FFFD for each character that cannot."""
    if type(text) is str and "\0" not in text and (text.isascii() or _is_encodable(text)):
        return text
    return _UNCARRIABLE.sub("\N{REPLACEMENT CHARACTER}", str.__str__(text))


def cut_text(text: str, most_chars: int) -> str:
    """*text*, cut to *most_chars* characters and marked where it is longer."""
    if len(text) <= most_chars:
        return text
    return f"{text[:most_chars]}… ({len(text)} characters in all)"


def clean_event(event: LogEvent) -> LogEvent:
    """*event* with all its texts cleaned."""
    cleaned = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str) and (text := clean_text(value)) is not value:
            cleaned[name] = text
    return msgspec.structs.replace(event, **cleaned) if cleaned else event


def encode_cleaned(event: LogEvent) -> bytes:
    """The bytes of *event*, cleaned only where the encoder refuses it, which leaves NUL to the caller."""
    try:
        return encode_event(event)
    except (TypeError, UnicodeEncodeError):  # a TypeError is a subclass of str, which the codec does not take
        return encode_event(clean_event(event))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
