"""JSON as strangers write it: numbers kept exactly, broken texts kept to be mended."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

from worker.verdicts import Reason, RejectedError

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def parse_json(raw: bytes) -> Any:
    """
    The value of JSON text; numbers with a fraction as exact decimals, texts possibly with lone surrogates or NUL.

    Raises:
        RejectedError: It is no JSON, nested too deeply to be read, or a number's exponent is one that nothing holds.
    """
    try:
        return _parse(raw)
    except RecursionError as exc:
        raise RejectedError(Reason.NOT_JSON, "nested too deeply") from exc
    except InvalidOperation as exc:
        raise RejectedError(Reason.OUT_OF_RANGE, "a number has an exponent beyond all bounds") from exc
    except ValueError as exc:
        raise RejectedError(Reason.NOT_JSON, type(exc).__name__) from exc


def _parse(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_leniently(raw)


def _parse_leniently(raw: bytes) -> Any:
    """As JSON whose texts may hold invalid UTF-8 (read as U+FFFD) and lone surrogates, and integers any digits."""
    text = raw.decode(errors="replace")
    return json.loads(text, parse_float=Decimal, parse_int=_integer, parse_constant=_refuse_constant)


def _integer(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:  # more digits than Python reads at once
        return Decimal(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
