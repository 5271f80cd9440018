"""A framed event that breaks the contract, taken apart field by field so that what is sound in it can be used."""

from typing import Any

import msgspec

from worker.columns import columns_of
from worker.mending import EVENT_TYPES
from worker.verdicts import Reason, RejectedError

NAME_BY_TAG = {struct.__struct_config__.tag: name for name, struct in EVENT_TYPES.items()}

_TEXT_HEADER_BYTES = {0xD9: 2, 0xDA: 3, 0xDB: 5}
"""By the first byte, for str 8, 16 and 32; a fixstr has one. Source: MessagePack specification, str format family."""

_decode_value = msgspec.msgpack.Decoder().decode
_decode_fields = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def loose_fields(raw: bytes) -> tuple[str | None, dict[str, Any]]:
    """
    Type and fields of one framed event; fields beyond the known ones are named by their position.

    Raises:
        RejectedError: It is no array, or its type is unknown.
    """
    try:
        values = [_loose_value(bytes(value)) for value in _decode_fields(raw)]
    except (msgspec.DecodeError, RecursionError, ValueError) as exc:
        raise RejectedError(Reason.NOT_AN_OBJECT, "not an array of fields") from exc
    event_type = NAME_BY_TAG.get(values[0]) if values and isinstance(values[0], int) else None
    if event_type is None:
        raise RejectedError(Reason.UNKNOWN_TYPE, "its tag is not known")
    names = ["tag", *columns_of(EVENT_TYPES[event_type])]
    names += [f"field_{position}" for position in range(len(names), len(values))]
    fields = dict(zip(names, values, strict=False))
    del fields["tag"]
    return event_type, fields


def _loose_value(raw: bytes) -> Any:
    try:
        return _decode_value(raw)
    except UnicodeDecodeError:
        return raw[_TEXT_HEADER_BYTES.get(raw[0], 1) :].decode(errors="replace")
