"""The SASL layer's own small codec: protocol headers and the five SASL frames of AMQP 1.0.

Part 5.3 of the specification, the subset of its type system that these frames use, and nothing else. It is
written out here, without proton, because it reads bytes of peers that have not logged in: every length is
checked against what is there before it is used, every type against what the specification names, and no
buffer grows past one frame. Whatever does not fit raises `ProtocolError` with what was found.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn

from clacks.common.errors import ProtocolError

__all__ = [
    "FRAME_LIMIT",
    "SASL_HEADER",
    "Challenge",
    "Code",
    "Frame",
    "FrameBuffer",
    "Init",
    "Mechanisms",
    "Outcome",
    "Response",
    "decode_frame",
    "describe_opening",
    "encode_frame",
]

SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
"""What a peer that wants to log in sends first (5.3.1): protocol id 3, version 1.0.0."""

FRAME_LIMIT: Final = 4096
"""Bytes of one SASL frame. The specification allows 512 (5.3.3.1); some peers send more (long tickets,
mechanism lists), none of them 4 KiB. Beyond it `ProtocolError`."""

_MECHANISMS_LIMIT: Final = 64
_FRAME_HEADER: Final = struct.Struct(">IBBH")
_SASL_FRAME: Final = 1


class Code(IntEnum):
    """What the server says of a login (5.3.3.6)."""

    OK = 0
    AUTH = 1
    """The credentials are wrong."""
    SYS = 2
    """The server failed."""
    SYS_PERM = 3
    """The server failed and will fail again."""
    SYS_TEMP = 4
    """The server cannot check just now; trying again later may help."""


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """What the server offers, in its order of preference (sasl-mechanisms)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Init:
    """What the client chose (sasl-init); ``response`` is None if it sent no initial response."""

    mechanism: str
    response: bytes | None = None
    hostname: str | None = None

    def __repr__(self) -> str:
        return f"Init({self.mechanism!r}, hostname={self.hostname!r})"  # the response may hold a password


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's question (sasl-challenge)."""

    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """The client's answer (sasl-response)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The server's verdict (sasl-outcome); ``data`` is the additional data of a success, or None."""

    code: Code
    data: bytes | None = None


Frame = Mechanisms | Init | Challenge | Response | Outcome

_DESCRIPTORS: Final[dict[int | str, tuple[str, int]]] = {
    0x40: ("sasl-mechanisms", 1),
    0x41: ("sasl-init", 3),
    0x42: ("sasl-challenge", 1),
    0x43: ("sasl-response", 1),
    0x44: ("sasl-outcome", 2),
}
# The symbolic descriptors mean the same (1.2): nobody sends them, everybody may.
_SYMBOLIC: Final = {f"amqp:{name}:list": (name, fields) for name, fields in _DESCRIPTORS.values()}


class FrameBuffer:
    """Cuts what a peer sends into the protocol header, SASL frames, and the rest.

    Keeps at most what one `append` brought, plus one frame.
    """

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def append(self, data: bytes) -> None:
        """Take bytes of the peer."""
        self._data += data

    def header(self) -> bytes | None:
        """Take the protocol header of eight bytes, or None if it has not come yet.

        Raises:
            ProtocolError: As soon as the bytes cannot become an AMQP header: nobody needs to wait for eight.
        """
        start = bytes(self._data[:8])
        if not start[:4] == b"AMQP"[: len(start)]:
            raise ProtocolError(f"the peer does not speak AMQP: {describe_opening(bytes(self._data[:32]))}")
        if len(start) < 8:
            return None
        del self._data[:8]
        return start

    def frame(self) -> Frame | None:
        """Take the next frame, or None if it has not come as a whole.

        Raises:
            ProtocolError: If the frame is longer than `FRAME_LIMIT` or is no SASL frame.
        """
        if len(self._data) < 4:
            return None
        size = int.from_bytes(self._data[:4], "big")
        if not 8 <= size <= FRAME_LIMIT:
            raise ProtocolError(f"a SASL frame of {size} bytes; 8 to {FRAME_LIMIT} are allowed")
        if len(self._data) < size:
            return None
        frame = decode_frame(bytes(self._data[:size]))
        del self._data[:size]
        return frame

    def rest(self) -> bytes:
        """Take everything that is left."""
        data = bytes(self._data)
        self._data.clear()
        return data


def describe_opening(data: bytes) -> str:
    """Say for people what a peer's first bytes look like, when they are not the header that was expected."""
    if data[:1] in {b"\x14", b"\x15", b"\x16", b"\x17"} and data[1:2] in {b"\x03", b""}:
        return "it speaks TLS on a port without TLS (amqps:// where amqp:// belongs, or the wrong port)"
    if data.startswith((b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"DELETE ", b"PRI ")):
        return "it sent an HTTP request; this port is for AMQP 1.0"
    if data.startswith(b"HTTP/"):
        return "it answered in HTTP: a web server listens there"
    if data.startswith(b"AMQP") and len(data) >= 8:
        protocol, major, minor, revision = data[4:8]
        if (protocol, major) == (0, 0) or (protocol, major) == (1, 1):
            return (
                f"it speaks AMQP {'0-9-1' if data[4:8] == bytes((0, 0, 9, 1)) else 'of before 1.0'}; "
                "this needs AMQP 1.0 (RabbitMQ 3: enable the plugin rabbitmq_amqp1_0)"
            )
        if (major, minor, revision) != (1, 0, 0):
            return f"it speaks AMQP {major}.{minor}.{revision}, not 1.0"
        if protocol == 0:
            return "it skipped the login (SASL)"
        if protocol == 2:
            return "it wants TLS by AMQP's own upgrade; use the port for amqps:// instead"
        return f"it asked for the unknown protocol id {protocol}"
    return f"its first bytes are {data[:16]!r}"


# -- writing


def encode_frame(frame: Frame) -> bytes:
    """Write a frame; the mechanisms are ASCII, and everything fits into `FRAME_LIMIT`.

    Raises:
        ProtocolError: If the frame would be longer than that.
    """
    match frame:
        case Mechanisms(names):
            symbols = [name.encode("ascii") for name in names]
            body = b"".join(len(symbol).to_bytes(4, "big") + symbol for symbol in symbols)
            size = (len(body) + 5).to_bytes(4, "big")
            code, fields = 0x40, [b"\xf0" + size + len(symbols).to_bytes(4, "big") + b"\xb3" + body]
        case Init(mechanism, response, hostname):
            name = None if hostname is None else hostname.encode()
            code, fields = 0x41, [_variable(0xA3, mechanism.encode("ascii")), _variable(0xA0, response)]
            fields.append(_variable(0xA1, name))
        case Challenge(data):
            code, fields = 0x42, [_variable(0xA0, data)]
        case Response(data):
            code, fields = 0x43, [_variable(0xA0, data)]
        case Outcome(outcome, extra):
            code, fields = 0x44, [bytes((0x50, outcome)), _variable(0xA0, extra)]
    while fields[-1] == b"\x40":  # trailing nulls may be left out (1.4), and old peers expect it
        fields.pop()
    body = b"".join(fields)
    size = (len(body) + 4).to_bytes(4, "big")
    body = bytes((0x00, 0x53, code, 0xD0)) + size + len(fields).to_bytes(4, "big") + body
    if len(body) + 8 > FRAME_LIMIT:
        raise ProtocolError(f"a SASL frame of {len(body) + 8} bytes; at most {FRAME_LIMIT} are allowed")
    return _FRAME_HEADER.pack(len(body) + 8, 2, _SASL_FRAME, 0) + body


def _variable(code: int, value: bytes | None) -> bytes:
    if value is None:
        return b"\x40"
    if len(value) < 256:
        return bytes((code, len(value))) + value
    return bytes((code + 0x10,)) + len(value).to_bytes(4, "big") + value


# -- reading


def decode_frame(data: bytes) -> Frame:
    """Read one whole frame, header included.

    Raises:
        ProtocolError: If it is no SASL frame, or if a field has the wrong type, is missing or too much.
    """
    if len(data) < 8:
        raise ProtocolError(f"a SASL frame of {len(data)} bytes is too short")
    size, offset, kind, _ = _FRAME_HEADER.unpack_from(data)
    if size != len(data):
        raise ProtocolError(f"a SASL frame says {size} bytes and has {len(data)}")
    if kind != _SASL_FRAME:
        raise ProtocolError(f"a frame of type {kind} before the login is finished; SASL frames have type 1")
    if offset < 2 or offset * 4 > size:
        raise ProtocolError(f"a SASL frame of {size} bytes whose body begins at byte {offset * 4}")
    reader = _Reader(data, offset * 4)
    name, fields = reader.performative()
    if not reader.at_end:
        raise ProtocolError(f"{reader.left} bytes too many behind {name}")
    match name:
        case "sasl-mechanisms":
            return Mechanisms(_symbols(fields[0]))
        case "sasl-init":
            hostname = fields[2]
            if hostname is not None and not isinstance(hostname, str):
                _wrong("hostname of sasl-init", "a string")
            return Init(_symbol(fields[0]), _optional_binary(fields[1], "initial-response"), hostname)
        case "sasl-challenge":
            return Challenge(_binary(fields[0], "challenge"))
        case "sasl-response":
            return Response(_binary(fields[0], "response"))
    code = fields[0]
    if not isinstance(code, int) or code not in Code._value2member_map_:
        _wrong("code of sasl-outcome", "a ubyte from 0 to 4")
    return Outcome(Code(code), _optional_binary(fields[1], "additional-data"))


class _Symbol(str):
    """An AMQP symbol, told from a string."""

    __slots__ = ()


_Value = int | str | bytes | list[_Symbol] | None


def _wrong(what: str, expected: str) -> NoReturn:
    raise ProtocolError(f"the {what} is not {expected}")


def _symbol(value: _Value) -> str:
    if not isinstance(value, _Symbol) or not value:
        _wrong("mechanism of sasl-init", "a symbol")
    return str(value)


def _symbols(value: _Value) -> tuple[str, ...]:
    # A field with multiple=true holds one value or an array (1.4).
    if isinstance(value, _Symbol):
        value = [value]
    if not isinstance(value, list) or not value:
        _wrong("list of sasl-mechanisms", "an array of symbols")
    return tuple(str(name) for name in value)


def _binary(value: _Value, what: str) -> bytes:
    if not isinstance(value, bytes):
        _wrong(what, "binary")
    return value


def _optional_binary(value: _Value, what: str) -> bytes | None:
    return None if value is None else _binary(value, what)


class _Reader:
    """Reads the few types of SASL frames from ``data``; never past its end."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._end = len(data)

    @property
    def at_end(self) -> bool:
        return self._position == self._end

    @property
    def left(self) -> int:
        return self._end - self._position

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise ProtocolError(f"a SASL frame ends {count - self.left} bytes too early")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def performative(self) -> tuple[str, list[_Value]]:
        if self.at_end:
            raise ProtocolError("an empty SASL frame")
        if self.number(1) != 0x00:
            raise ProtocolError("the body of a SASL frame is not a described list")
        descriptor = self.value()
        known = _SYMBOLIC.get(descriptor) if isinstance(descriptor, _Symbol) else None
        if isinstance(descriptor, int):
            known = _DESCRIPTORS.get(descriptor)
        if known is None:
            raise ProtocolError(f"an unknown SASL frame: descriptor {_short(descriptor)}")
        name, width = known
        fields = self.fields(name, width)
        return name, fields + [None] * (width - len(fields))

    def fields(self, name: str, width: int) -> list[_Value]:
        code = self.number(1)
        if code == 0x45:
            return []
        if code not in (0xC0, 0xD0):
            raise ProtocolError(f"{name} is not a list (type 0x{code:02x})")
        size = 1 if code == 0xC0 else 4
        end = self.number(size) + self._position
        if end != self._end:
            raise ProtocolError(f"the list of {name} ends at byte {end} of a frame of {self._end}")
        count = self.number(size)
        if count > width:
            raise ProtocolError(f"{name} has {count} fields; {width} are known")
        return [self.value() for _ in range(count)]

    def value(self) -> _Value:
        code = self.number(1)
        match code:
            case 0x40:
                return None
            case 0x44:
                return 0
            case 0x50 | 0x53:
                return self.number(1)
            case 0x80:
                return self.number(8)
            case 0xA0 | 0xB0:
                return self.take(self.number(1 if code == 0xA0 else 4))
            case 0xA1 | 0xB1:
                text = self.take(self.number(1 if code == 0xA1 else 4))
                try:
                    return text.decode("utf-8")
                except UnicodeDecodeError:
                    raise ProtocolError("a string in a SASL frame is not UTF-8") from None
            case 0xA3 | 0xB3:
                return self.symbol(1 if code == 0xA3 else 4)
            case 0xE0 | 0xF0:
                return self.symbols(1 if code == 0xE0 else 4)
        raise ProtocolError(f"type 0x{code:02x} has no place in a SASL frame")

    def symbol(self, width: int) -> _Symbol:
        text = self.take(self.number(width))
        if not text.isascii() or not text.decode("ascii").isprintable():
            raise ProtocolError("a symbol in a SASL frame is not printable ASCII")
        return _Symbol(text.decode("ascii"))

    def symbols(self, width: int) -> list[_Symbol]:
        size = self.number(width)
        end = self._position + size
        if size > self.left:
            raise ProtocolError(f"a SASL frame ends {size - self.left} bytes too early")
        count = self.number(width)
        code = self.number(1)
        if code not in (0xA3, 0xB3):
            raise ProtocolError(f"an array of type 0x{code:02x} where symbols belong")
        if count > _MECHANISMS_LIMIT:
            raise ProtocolError(f"{count} mechanisms are offered; at most {_MECHANISMS_LIMIT} are read")
        found = [self.symbol(1 if code == 0xA3 else 4) for _ in range(count)]
        if self._position != end:
            raise ProtocolError("the array of sasl-mechanisms has another length than it says")
        return found


def _short(descriptor: _Value) -> str:
    if isinstance(descriptor, int):
        return f"0x{descriptor:x}"
    return repr(descriptor)[:40]
