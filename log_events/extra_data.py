"""Whatever a caller attaches to an event, as JSON of bounded depth and size."""

import math
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from uuid import UUID

import msgspec

from log_events.safe_text import clean_text, cut_text

MAX_DEPTH = 8
"""Containers nested deeper are shown as text."""
MAX_ITEMS = 1000
"""Values in one event's extra data, containers counted too; the rest is left out, and that is said."""
MAX_TEXT_CHARS = 16_384
"""Characters of one text."""
MAX_TOTAL_CHARS = 131_072
"""Characters of all texts of one event together."""
_MAX_KEY_CHARS = 256
_INT_BITS = 64
_WRITTEN_AS_TEXT = str | UUID | Decimal | date | time | PurePath
"""Whose text says it all; a datetime is a date."""

JsonValue = str | int | float | bool | list["JsonValue"] | dict[str, "JsonValue"] | None


def extra_json(extra: Mapping[str, object]) -> str:
    """JSON text of an object with *extra*'s entries; what JSON has no form for is shown by its ``repr``."""
    return msgspec.json.encode(_Shortener().value_of(extra, depth=0)).decode()


def shown(value: object) -> str:
    """The ``repr`` of *value*, or a sentence that it has none."""
    try:
        return repr(value)
    except Exception as exc:  # noqa: BLE001 - foreign code: whatever it raises, the event goes on
        return f"<{type(value).__name__} whose repr raised {type(exc).__name__}>"


class _Shortener:
    """Turns values into what JSON can carry, and keeps count of how much one event may still take."""

    def __init__(self) -> None:
        self._items_left = MAX_ITEMS
        self._chars_left = MAX_TOTAL_CHARS

    def value_of(self, value: object, depth: int) -> JsonValue:
        self._items_left -= 1
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset) and depth < MAX_DEPTH:
            return self._container(value, depth + 1)
        return self._text(str(value) if isinstance(value, _WRITTEN_AS_TEXT) else shown(value))

    def _container(self, value: Mapping[object, object] | Iterable[object], depth: int) -> JsonValue:
        try:
            if isinstance(value, Mapping):
                return self._object(value, depth)
            return self._array(value, depth)
        except RuntimeError:  # another thread changes it meanwhile
            return self._text(shown(value))

    def _object(self, value: Mapping[object, object], depth: int) -> JsonValue:
        plain: dict[str, JsonValue] = {}
        for index, (key, item) in enumerate(value.items()):
            if self._items_left <= 0:
                plain["…"] = f"{len(value) - index} more left out"
                break
            name = key if isinstance(key, str) else shown(key)
            plain[cut_text(clean_text(name), _MAX_KEY_CHARS)] = self.value_of(item, depth)
        return plain

    def _array(self, value: Iterable[object], depth: int) -> JsonValue:
        plain: list[JsonValue] = []
        for item in value:
            if self._items_left <= 0:
                plain.append("… more left out")
                break
            plain.append(self.value_of(item, depth))
        return plain

    def _number(self, value: float) -> JsonValue:
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        return int(value) if value.bit_length() < _INT_BITS else self._text(hex(value))

    def _text(self, text: str) -> str:
        cut = cut_text(text, max(0, min(MAX_TEXT_CHARS, self._chars_left)))
        self._chars_left -= len(cut)
        return clean_text(cut)
