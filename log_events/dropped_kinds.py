"""The kinds that dropped events are counted by: the level of a system log, and one for all LLM calls."""

import msgspec

from log_events.kinds import kind_of_encoded

LLM_KIND = "llm_log"
"""How a dropped LLM call is counted; a dropped system log is counted under its level."""

UNKNOWN_KIND = "other"
"""How an event is counted that holds no level where a system log has it."""


class _SystemLogHead(msgspec.Struct, array_like=True, tag=1, gc=False):
    """As much of an encoded system log as tells its level; what follows is not looked at."""

    id: msgspec.Raw
    created_at: msgspec.Raw
    level: str


_head_decoder = msgspec.msgpack.Decoder(_SystemLogHead)


def kind_of(encoded: bytes) -> str:
    """What an encoded event is counted as when it is dropped, also one that breaks the contract; it never raises."""
    if kind_of_encoded(encoded) == LLM_KIND:
        return LLM_KIND
    try:
        return _head_decoder.decode(encoded).level
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNKNOWN_KIND
