"""Values of jsonb columns, such as an answer can carry: what is too deep or too large for it is given as text."""

import json
import math
from typing import Final

MAX_DEPTH: Final = 100
"""Containers inside containers.  Beyond some 250 the answer could not be written, and one row would spoil its page."""


def loads(data: str | bytes) -> object:
    """The value of a JSON document, or its text where it nests too deeply or holds a number that no float can."""
    text = data if isinstance(data, str) else data.decode()
    try:
        value = json.loads(text, parse_float=_finite)
    except (RecursionError, ValueError):
        return text
    return text if _is_deep(value) else value


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("beyond the range of a float")
    return number


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for container in level for child in _children(container)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    """The containers directly inside *value*."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in inside if isinstance(child, dict | list)]
