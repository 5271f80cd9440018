"""Values of an LLM call made to fit the types of their columns, or set aside."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from log_events.extra_data import shown

_MOST_INTEGER = 2**31 - 1
"""Of PostgreSQL's ``integer``."""


def fitting_columns(values: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, object]]:
    """Of *values*, the columns as their event takes them, a missing total computed; and those that do not fit."""
    columns: dict[str, Any] = {}
    misfits: dict[str, object] = {}
    for name, read in _READERS.items():
        value = values[name]
        columns[name] = None if value is None else read(value)
        if value is not None and columns[name] is None:
            misfits[name] = value
    parts = (columns["prompt_tokens"], columns["completion_tokens"])
    if values["total_tokens"] is None and None not in parts:
        columns["total_tokens"] = _integer(sum(parts))
    return columns, misfits


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def _integer(value: object) -> int | None:
    if isinstance(value, float) and math.isfinite(value):
        value = round(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_INTEGER:
        return int(value)
    return None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        return None
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_TEXTS = (
    "provider",
    "model",
    "operation",
    "prompt",
    "response",
    "status",
    "error_type",
    "error_message",
    "service",
    "host",
    "session_id",
    "response_model",
    "finish_reason",
)
_INTEGERS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "latency_ms",
    "cached_prompt_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "time_to_first_token_ms",
)
_READERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(_INTEGERS, _integer),
    "cost_usd": _decimal,
    "streamed": _truth,
}
