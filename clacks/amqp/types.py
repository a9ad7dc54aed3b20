"""The type system of AMQP 1.0 (part 1) as far as messages use it: bytes to values and back.

Why not proton's ``Data``: its object layer takes 5 to 9 us for the smallest message and a binary value is a
view onto memory that dies. These few tables take a third of that and copy.

| AMQP | Python |
|---|---|
| null, boolean, string, binary | None, bool, str, bytes |
| symbol | `Symbol` (a str) |
| ubyte ... ulong, byte ... long | int; `ULong`, `Timestamp` keep the type where it matters |
| float, double | float |
| char | str |
| uuid | uuid.UUID |
| timestamp | `Timestamp` (an int: milliseconds since 1970) |
| list, map, array | list, dict, list |
| described | `Described` |
| decimal32/64/128 | bytes (kept as they are) |
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from uuid import UUID

from clacks.common.errors import ProtocolError

__all__ = ["Described", "Symbol", "Timestamp", "ULong", "decode_value", "encode_value", "skip_value"]

_MAX_DEPTH: Final = 32  # no message that we know nests deeper than four; a hostile one would end our stack


class Symbol(str):
    """A string of AMQP type symbol."""

    __slots__ = ()


class ULong(int):
    """An integer of AMQP type ulong (a message-id, or the code of a described type)."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01T00:00Z, of AMQP type timestamp."""

    __slots__ = ()


class Described(NamedTuple):
    """A value with a descriptor (a `Symbol` or `ULong`)."""

    descriptor: object
    value: object


_U16 = struct.Struct(">H").unpack_from
_U32 = struct.Struct(">I").unpack_from
_U64 = struct.Struct(">Q").unpack_from
_I16 = struct.Struct(">h").unpack_from
_I32 = struct.Struct(">i").unpack_from
_I64 = struct.Struct(">q").unpack_from
_F32 = struct.Struct(">f").unpack_from
_F64 = struct.Struct(">d").unpack_from


def _take(data: bytes, start: int, size: int) -> bytes:
    value = data[start : start + size]
    if len(value) != size:
        raise ProtocolError("an AMQP value is cut off")
    return value


def _bin8(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    start = at + 1
    end = start + data[at]
    value = data[start:end]
    if len(value) != end - start:
        raise ProtocolError("an AMQP value is cut off")
    return value, end


def _bin32(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    size = _U32(data, at)[0]
    return _take(data, at + 4, size), at + 4 + size


def _str8(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    start = at + 1
    end = start + data[at]
    text = data[start:end]
    if len(text) != end - start:
        raise ProtocolError("an AMQP value is cut off")
    return text.decode(), end


def _str32(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    size = _U32(data, at)[0]
    return str(_take(data, at + 4, size), "utf-8"), at + 4 + size


def _sym8(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    end = at + 1 + data[at]
    return Symbol(_take(data, at + 1, data[at]), "ascii"), end


def _sym32(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    size = _U32(data, at)[0]
    return Symbol(_take(data, at + 4, size), "ascii"), at + 4 + size


def _items(data: bytes, at: int, end: int, count: int, depth: int) -> list[Any]:
    if depth > _MAX_DEPTH:
        raise ProtocolError("AMQP values are nested too deeply")
    # Every item but those of width 0 takes a byte, and even those have their code: count <= bytes.
    if end > len(data) or count > end - at:
        raise ProtocolError("an AMQP list or map says more items than it has bytes")
    # The decoders are called directly: `decode_value` would add a frame for every item, and half again to the
    # cost. What they raise is translated where the outermost value began.
    items: list[Any] = []
    append = items.append
    decoders = _DECODERS
    depth += 1
    for _ in range(count):
        code = data[at]
        if code == 0x40:
            append(None)
            at += 1
        else:
            value, at = decoders[code](data, at + 1, depth)
            append(value)
    if at != end:
        raise ProtocolError("the size of an AMQP list or map does not fit its items")
    return items


def _list8(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    end = at + 1 + data[at]
    return _items(data, at + 2, end, data[at + 1], depth), end


def _list32(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    end = at + 4 + _U32(data, at)[0]
    return _items(data, at + 8, end, _U32(data, at + 4)[0], depth), end


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ProtocolError("an AMQP map has a key without a value")
    try:
        return dict(zip(items[::2], items[1::2]))
    except TypeError:
        raise ProtocolError("an AMQP map has a key that is a list or map") from None


def _map8(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    items, end = _list8(data, at, depth)
    return _pairs(items), end


def _map32(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    items, end = _list32(data, at, depth)
    return _pairs(items), end


def _array(data: bytes, at: int, end: int, count: int, depth: int) -> list[Any]:
    if depth > _MAX_DEPTH:
        raise ProtocolError("AMQP values are nested too deeply")
    if end > len(data):
        raise ProtocolError("an AMQP value is cut off")
    code = data[at]
    at += 1
    if code == 0:
        raise ProtocolError("arrays of described AMQP values are not understood")
    width = _WIDTHS.get(code)
    if width == 0 or (width or 1) * count > end - at:
        # Zero-width elements would let five bytes ask for four billion values.
        raise ProtocolError("an AMQP array says more items than it has bytes")
    decode = _decoder(code)
    items = []
    for _ in range(count):
        value, at = decode(data, at, depth + 1)
        items.append(value)
    if at != end:
        raise ProtocolError("the size of an AMQP array does not fit its items")
    return items


def _array8(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    end = at + 1 + data[at]
    return _array(data, at + 2, end, data[at + 1], depth), end


def _array32(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    end = at + 4 + _U32(data, at)[0]
    return _array(data, at + 8, end, _U32(data, at + 4)[0], depth), end


def _described(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _MAX_DEPTH:
        raise ProtocolError("AMQP values are nested too deeply")
    descriptor, at = decode_value(data, at, depth + 1)
    value, at = decode_value(data, at, depth + 1)
    return Described(descriptor, value), at


def _constant(value: Any) -> Callable[[bytes, int, int], tuple[Any, int]]:
    return lambda data, at, depth: (value, at)


_DECODERS: Final[dict[int, Callable[[bytes, int, int], tuple[Any, int]]]] = {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x56: lambda data, at, depth: (data[at] != 0, at + 1),
    0x50: lambda data, at, depth: (data[at], at + 1),
    0x51: lambda data, at, depth: (data[at] - 256 if data[at] > 127 else data[at], at + 1),
    0x60: lambda data, at, depth: (_U16(data, at)[0], at + 2),
    0x61: lambda data, at, depth: (_I16(data, at)[0], at + 2),
    0x70: lambda data, at, depth: (_U32(data, at)[0], at + 4),
    0x52: lambda data, at, depth: (data[at], at + 1),
    0x43: _constant(0),
    0x80: lambda data, at, depth: (ULong(_U64(data, at)[0]), at + 8),
    0x53: lambda data, at, depth: (ULong(data[at]), at + 1),
    0x44: _constant(ULong(0)),
    0x71: lambda data, at, depth: (_I32(data, at)[0], at + 4),
    0x54: lambda data, at, depth: (data[at] - 256 if data[at] > 127 else data[at], at + 1),
    0x81: lambda data, at, depth: (_I64(data, at)[0], at + 8),
    0x55: lambda data, at, depth: (data[at] - 256 if data[at] > 127 else data[at], at + 1),
    0x72: lambda data, at, depth: (_F32(data, at)[0], at + 4),
    0x82: lambda data, at, depth: (_F64(data, at)[0], at + 8),
    0x74: lambda data, at, depth: (_take(data, at, 4), at + 4),
    0x84: lambda data, at, depth: (_take(data, at, 8), at + 8),
    0x94: lambda data, at, depth: (_take(data, at, 16), at + 16),
    0x73: lambda data, at, depth: (str(_take(data, at, 4), "utf-32-be"), at + 4),
    0x83: lambda data, at, depth: (Timestamp(_I64(data, at)[0]), at + 8),
    0x98: lambda data, at, depth: (UUID(bytes=_take(data, at, 16)), at + 16),
    0xA0: _bin8,
    0xB0: _bin32,
    0xA1: _str8,
    0xB1: _str32,
    0xA3: _sym8,
    0xB3: _sym32,
    0x45: lambda data, at, depth: ([], at),
    0xC0: _list8,
    0xD0: _list32,
    0xC1: _map8,
    0xD1: _map32,
    0xE0: _array8,
    0xF0: _array32,
}

# Bytes behind the constructor, by the high half of its code (1.2.1); absent: variable or compound.
_WIDTHS: Final = {code: (0, 1, 2, 4, 8, 16)[(code >> 4) - 4] for code in _DECODERS if 0x40 <= code < 0xA0}


def _decoder(code: int) -> Callable[[bytes, int, int], tuple[Any, int]]:
    try:
        return _DECODERS[code]
    except KeyError:
        raise ProtocolError(f"0x{code:02x} is no AMQP type") from None


def decode_value(data: bytes, at: int = 0, depth: int = 0) -> tuple[Any, int]:
    """Read one value of ``data`` from ``at``; return it and where the next begins.

    Raises:
        ProtocolError: If there is no whole AMQP value, or its text is not what its type says.
    """
    try:
        return _DECODERS[data[at]](data, at + 1, depth)
    except (KeyError, IndexError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ProtocolError(f"not an AMQP value at byte {at}: {error}") from error


def skip_value(data: bytes, at: int) -> int:
    """Return where the value after the one at ``at`` begins, without reading it.

    Raises:
        ProtocolError: As `decode_value`.
    """
    try:
        code = data[at]
        if code == 0:
            return skip_value(data, skip_value(data, at + 1))
        size = code >> 4
        if size < 10:
            end = at + 1 + _WIDTHS[code]
        elif size & 1:
            end = at + 5 + int(_U32(data, at + 1)[0])
        else:
            end = at + 2 + data[at + 1]
    except (KeyError, IndexError, struct.error, RecursionError) as error:
        raise ProtocolError(f"not an AMQP value at byte {at}: {error}") from error
    if end > len(data):
        raise ProtocolError("an AMQP value is cut off")
    return end


_PACK_U32 = struct.Struct(">BI").pack
_PACK_I64 = struct.Struct(">Bq").pack
_PACK_U64 = struct.Struct(">BQ").pack
_PACK_F64 = struct.Struct(">Bd").pack


def _variable(short: int, long: int, content: bytes) -> bytes:
    size = len(content)
    if size < 256:
        return bytes((short, size)) + content
    return _PACK_U32(long, size) + content


def _compound(short: int, long: int, count: int, content: bytes) -> bytes:
    size = len(content)
    if size < 255 and count < 256:
        return bytes((short, size + 1, count)) + content
    return _PACK_U32(long, size + 4) + count.to_bytes(4, "big") + content


def _encode_int(value: int) -> bytes:
    if -128 <= value < 128:
        return bytes((0x55, value & 0xFF))
    return _PACK_I64(0x81, value)


def _encode_ulong(value: int) -> bytes:
    if value < 256:
        return bytes((0x53, value)) if value else b"\x44"
    return _PACK_U64(0x80, value)


def _encode_map(value: dict[Any, Any]) -> bytes:
    content = b"".join([encode_value(item) for pair in value.items() for item in pair])
    return _compound(0xC1, 0xD1, 2 * len(value), content)


def _encode_list(value: list[Any]) -> bytes:
    if not value:
        return b"\x45"
    return _compound(0xC0, 0xD0, len(value), b"".join([encode_value(item) for item in value]))


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda value: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    int: _encode_int,
    ULong: _encode_ulong,
    Timestamp: lambda value: _PACK_I64(0x83, value),
    float: lambda value: _PACK_F64(0x82, value),
    str: lambda value: _variable(0xA1, 0xB1, value.encode()),
    Symbol: lambda value: _variable(0xA3, 0xB3, value.encode("ascii")),
    bytes: lambda value: _variable(0xA0, 0xB0, value),
    UUID: lambda value: b"\x98" + value.bytes,
    dict: _encode_map,
    list: _encode_list,
    Described: lambda value: b"\x00" + encode_value(value.descriptor) + encode_value(value.value),
}


def encode_value(value: object) -> bytes:
    """Write one value; int becomes long, as properties of messages expect.

    Raises:
        TypeError: If AMQP has no such type.
        OverflowError, struct.error: If an integer is beyond 64 bits.
    """
    try:
        encode = _ENCODERS[type(value)]
    except KeyError:
        raise TypeError(f"AMQP has no type for {type(value).__name__}") from None
    return encode(value)
