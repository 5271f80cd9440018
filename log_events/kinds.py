"""How events are counted: by the kind that the door could see, alike by producers, scripts and worker."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["system_log", "llm_log", "other"]

KINDS: tuple[Kind, ...] = ("system_log", "llm_log", "other")

_TAG_OF_LLM_LOG = 2
_WIDE_ARRAY = 0xDC
_TYPE = re.compile(rb'"type"[ \t\r\n]*:[ \t\r\n]*"([a-z_]+)"')


@dataclass(frozen=True, slots=True)
class KindCounts:
    """A number of events of each kind."""

    system_logs: int = 0
    llm_logs: int = 0
    others: int = 0

    @property
    def events(self) -> int:
        """All of them."""
        return self.system_logs + self.llm_logs + self.others

    def of(self, kind: Kind) -> int:
        """How many are of *kind*."""
        return {"system_log": self.system_logs, "llm_log": self.llm_logs, "other": self.others}[kind]


def counts_of_encoded(encoded: Iterable[bytes]) -> KindCounts:
    """The kinds of events that `wire.encode_event` made, told by their tags alone."""
    system_logs = llm_logs = 0
    for event in encoded:
        # An array of more than 15 fields begins with a marker and two bytes of length; the tag comes next.
        if event[0] == _WIDE_ARRAY and event[3] == _TAG_OF_LLM_LOG:
            llm_logs += 1
        else:
            system_logs += 1
    return KindCounts(system_logs, llm_logs)


def kind_of_encoded(raw: bytes) -> Kind:
    """The kind of one framed event, whatever it holds."""
    return "llm_log" if counts_of_encoded([raw[:4].ljust(4, b"\0")]).llm_logs else "system_log"


def kind_of_pushed(raw: bytes) -> Kind:
    """The kind of a pushed event: the first thing that looks like a type, just as lua/bridge.lua looks for it."""
    found = _TYPE.search(raw)
    name = found[1] if found else b""
    if name == b"system_log":
        return "system_log"
    return "llm_log" if name == b"llm_log" else "other"
