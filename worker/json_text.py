"""JSON as strangers write it: numbers kept exactly, broken texts kept to be mended."""

import json
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from worker.verdicts import Reason, RejectedError

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def parse_json(raw: bytes) -> Any:
    """
    The value of JSON text; numbers with a fraction as exact decimals, texts possibly with lone surrogates or NUL.

    Raises:
        RejectedError: It is no JSON, or nested too deeply to be read.
    """
    try:
        return _decode(raw)
    except RecursionError as exc:
        raise RejectedError(Reason.NOT_JSON, "nested too deeply") from exc
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_leniently(raw)


def _parse_leniently(raw: bytes) -> Any:
    """As JSON whose texts may hold invalid UTF-8 (read as U+FFFD) and lone surrogates."""
    try:
        return json.loads(raw.decode(errors="replace"), parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise RejectedError(Reason.NOT_JSON, "nested too deeply") from exc
    except ValueError as exc:
        raise RejectedError(Reason.NOT_JSON, type(exc).__name__) from exc


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
