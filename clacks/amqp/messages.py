"""AMQP 1.0 messages (part 3.2): an immutable section format, read only as far as somebody asks.

A broker that forwards needs the subject, the user and the body; a consumer needs the application properties
too, but only if a query names them. So `decode` reads the properties section, notes where the others lie, and
`Message.properties` is read when first asked. Content never refers into the bytes it came from.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final

from clacks.amqp.types import Symbol, Timestamp, ULong, decode_value, encode_value, skip_value
from clacks.common.errors import ProtocolError

__all__ = ["Envelope", "Message", "decode", "encode", "open_envelope", "with_delivery_count"]

MessageId = str | bytes | int | Any  # AMQP lets it be ulong, uuid, binary or string


@dataclass(slots=True)
class Message:
    """One AMQP message.

    ``body`` holds the content of the data sections, or the text or binary of an amqp-value section; ``value``
    holds what another kind of body says (a list, a map, a number), and ``body`` is then empty.
    Times are milliseconds since 1970, ``ttl`` is in milliseconds.
    """

    body: bytes = b""
    subject: str | None = None
    content_type: str | None = None
    to: str | None = None
    reply_to: str | None = None
    message_id: MessageId = None
    correlation_id: MessageId = None
    user_id: bytes | None = None
    absolute_expiry_time: int | None = None
    creation_time: int | None = None
    content_encoding: str | None = None
    group_id: str | None = None
    ttl: int | None = None
    durable: bool = False
    value: object = None
    _properties: dict[str, Any] | None = None
    _raw_properties: bytes | None = field(default=None, repr=False)

    @property
    def properties(self) -> dict[str, Any]:
        """The application properties: simple values by name.

        Raises:
            ProtocolError: If the section that was received is no map with text keys.
        """
        if self._properties is None:
            self._properties = _application_properties(self._raw_properties)
        return self._properties

    @properties.setter
    def properties(self, properties: dict[str, Any]) -> None:
        self._properties = properties

    def mentions(self, name: str) -> bool:
        """Tell whether there is an application property of this name, without reading the others if not."""
        if self._properties is None and (
            self._raw_properties is None or name.encode() not in self._raw_properties
        ):
            return False
        return name in self.properties

    @property
    def expires_at(self) -> float | None:
        """The absolute expiry time in seconds since 1970, or None."""
        return None if self.absolute_expiry_time is None else self.absolute_expiry_time / 1000

    def expired(self, now: float) -> bool:
        """Tell whether ``now`` (seconds since 1970) is past the absolute expiry time, if there is one."""
        return self.absolute_expiry_time is not None and now * 1000 >= self.absolute_expiry_time


def _application_properties(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        return {}
    value, _ = decode_value(raw)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProtocolError("the application properties are no map with text keys")
    return value


_HEADER: Final = 0x70
_DELIVERY_ANNOTATIONS: Final = 0x71
_MESSAGE_ANNOTATIONS: Final = 0x72
_PROPERTIES: Final = 0x73
_APPLICATION: Final = 0x74
_DATA: Final = 0x75
_SEQUENCE: Final = 0x76
_VALUE: Final = 0x77
_FOOTER: Final = 0x78

_LONG_NAMES: Final = {
    "amqp:header:list": _HEADER,
    "amqp:delivery-annotations:map": _DELIVERY_ANNOTATIONS,
    "amqp:message-annotations:map": _MESSAGE_ANNOTATIONS,
    "amqp:properties:list": _PROPERTIES,
    "amqp:application-properties:map": _APPLICATION,
    "amqp:data:binary": _DATA,
    "amqp:amqp-sequence:list": _SEQUENCE,
    "amqp:amqp-value:*": _VALUE,
    "amqp:footer:map": _FOOTER,
}

# Field order of the properties section (3.2.4); None is not kept.
_FIELDS: Final = (
    ("message_id", None),
    ("user_id", bytes),
    ("to", None),
    ("subject", str),
    ("reply_to", None),
    ("correlation_id", None),
    ("content_type", str),
    ("content_encoding", str),
    ("absolute_expiry_time", int),
    ("creation_time", int),
    ("group_id", str),
)


def decode(data: bytes) -> Message:
    """Read an encoded message.

    The sections must come in their order and each once (3.2): of a message with two properties sections one
    reader would take the first and another the second, and one of them would believe the wrong user-id.

    Raises:
        ProtocolError: If the bytes are no AMQP message.
    """
    message = Message()
    body: list[bytes] = []
    at, end, last = 0, len(data), 0
    while at < end:
        section, at = _section_at(data, at, end, last)
        last = section
        if section == _DATA:
            value, at = decode_value(data, at)
            if type(value) is not bytes:
                raise ProtocolError("a data section holds something other than binary")
            body.append(value)
        elif section == _PROPERTIES:
            fields, at = decode_value(data, at)
            _set_properties(message, fields)
        elif section == _APPLICATION:
            start, at = at, skip_value(data, at)
            message._raw_properties = data[start:at]
        elif section in (_VALUE, _SEQUENCE):
            value, at = decode_value(data, at)
            if isinstance(value, str):
                body.append(value.encode())
            elif isinstance(value, bytes):
                body.append(value)
            else:
                message.value = value
        elif section == _HEADER:
            fields, at = decode_value(data, at)
            if not isinstance(fields, list):
                raise ProtocolError("the header of a message is no list")
            if fields:
                message.durable = fields[0] is True
            if len(fields) > 2 and type(fields[2]) is int:
                message.ttl = fields[2]
        else:
            at = skip_value(data, at)
    if not last:  # no body is against 3.2, but it is how proton writes a body of None
        raise ProtocolError("not an AMQP message: there is nothing")
    message.body = body[0] if len(body) == 1 else b"".join(body)
    return message


def _section_at(data: bytes, at: int, end: int, last: int) -> tuple[int, int]:
    """Return the code of the section that begins at ``at`` and where its content begins."""
    if data[at] != 0:
        raise ProtocolError(f"not an AMQP message: byte {at} begins no section")
    if data[at + 1 : at + 2] == b"\x53" and at + 2 < end:
        section: object = data[at + 2]
        at += 3
    else:
        section, at = decode_value(data, at + 1)
        if isinstance(section, str):
            section = _LONG_NAMES.get(section)
    if type(section) is not int:
        section = int(section) if isinstance(section, ULong) else -1
    if last < section <= _FOOTER and section >= _HEADER and (last < _DATA or section == _FOOTER):
        return section, at
    if section == last and section in (_DATA, _SEQUENCE):
        return section, at
    raise ProtocolError(f"not an AMQP message: section {section:#x} behind {last:#x}")


@dataclass(slots=True)
class Envelope:
    """What a broker must know of a message that it does not open.

    ``raw`` is what is passed on: the message without delivery annotations, which are from hop to hop (3.2.2).
    ``body`` is the content of the data section, if there is just one and somebody asked for it.
    """

    raw: bytes
    user_id: bytes | None = None
    to: str | None = None
    subject: str | None = None
    body: bytes | None = None
    ttl: int | None = None
    absolute_expiry_time: int | None = None
    _application: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def properties(self) -> dict[str, Any]:
        """The application properties, read at every call.

        Raises:
            ProtocolError: If the section is no map with text keys.
        """
        return _application_properties(self._application)

    def expires(self, now: float) -> float | None:
        """Return the time (seconds since 1970) from which on nobody wants the message; None: never."""
        ends = None if self.absolute_expiry_time is None else self.absolute_expiry_time / 1000
        if self.ttl is None:
            return ends
        return now + self.ttl / 1000 if ends is None else min(ends, now + self.ttl / 1000)


_LIST32: Final = struct.Struct(">II").unpack_from
_MOST_FIELDS: Final = 13  # 3.2.4
_PLAIN_DATA: Final = (b"\x00\x53\x75\xa0", b"\x00\x53\x75\xb0")


def open_envelope(data: bytes, *, body: bool = False) -> Envelope:
    """Read the outside of a message; of its body only the size, unless ``body`` is asked for.

    Raises:
        ProtocolError: If the bytes are no AMQP message, or its sections are out of order.
    """
    end = len(data)
    envelope = Envelope(data)
    # Only one data section, as a producer of plain bytes sends it: nothing to read.
    if data.startswith(_PLAIN_DATA) and end > 8:
        size = data[4] + 5 if data[3] == 0xA0 else int.from_bytes(data[4:8], "big") + 8
        if size == end:
            if body:
                envelope.body = data[5 if data[3] == 0xA0 else 8 :]
            return envelope
    at = last = bodies = 0
    while at < end:
        start = at
        last, at = _section_at(data, at, end, last)
        if last == _PROPERTIES:
            at = _read_outside(envelope, data, at)
        elif last == _DATA and body:
            value, at = decode_value(data, at)
            if type(value) is not bytes:
                raise ProtocolError("a data section holds something other than binary")
            envelope.body = None if bodies else value
            bodies += 1
        elif last == _HEADER:
            fields, at = decode_value(data, at)
            if type(fields) is not list:
                raise ProtocolError("the header of a message is no list")
            if len(fields) > 2 and type(fields[2]) is int:
                envelope.ttl = fields[2]
        else:
            inside = at
            at = skip_value(data, at)
            if last == _APPLICATION:
                envelope._application = data[inside:at]
            elif last == _DELIVERY_ANNOTATIONS:
                envelope.raw = data[:start] + data[at:]
    if not last:  # no body is against 3.2, but it is how proton writes a body of None
        raise ProtocolError("not an AMQP message: there is nothing")
    return envelope


def _read_outside(envelope: Envelope, data: bytes, at: int) -> int:
    """Read the properties section from ``at``, keep what an envelope has, and return where it ends."""
    try:
        code = data[at]
        if code == 0xC0:
            end, count, at = at + 2 + data[at + 1], data[at + 2], at + 3
        elif code == 0xD0:
            size, count = _LIST32(data, at + 1)
            end, at = at + 5 + size, at + 9
        elif code == 0x45:
            return at + 1
        else:
            raise ProtocolError("the properties of a message are no list")
        if count > _MOST_FIELDS:
            raise ProtocolError(f"the properties of a message have {count} fields")
        for number in range(count):
            code = data[at]
            if code == 0x40:
                at += 1
                continue
            value: object
            if code == 0xA1:
                start = at + 2
                at = start + data[at + 1]
                # What is no text is found here, before it ends the consumers who trust us.
                value = data[start:at].decode()
            else:
                value, at = decode_value(data, at)
            if number == 1:
                if type(value) is not bytes:
                    raise ProtocolError("the user_id of a message has the wrong type")
                envelope.user_id = value
            elif number == 2:
                if not isinstance(value, str):
                    raise ProtocolError("the to of a message is no text")
                envelope.to = value
            elif number == 3:
                if not isinstance(value, str):
                    raise ProtocolError("the subject of a message has the wrong type")
                envelope.subject = value
            elif number == 8:
                if not isinstance(value, int):
                    raise ProtocolError("the absolute_expiry_time of a message has the wrong type")
                envelope.absolute_expiry_time = value
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ProtocolError(f"the properties of a message cannot be read: {error}") from error
    if at != end:
        raise ProtocolError("the size of the properties of a message does not fit")
    return at


def with_delivery_count(data: bytes, count: int) -> bytes:
    """Return the message with ``count`` failed deliveries noted in its header (3.2.1).

    Raises:
        ProtocolError: If the bytes are no AMQP message.
    """
    fields: list[Any] = []
    if data:
        section, at = _section_at(data, 0, len(data), 0)
        if section == _HEADER:
            fields, at = decode_value(data, at)
            data = data[at:]
    durable, priority, ttl = (fields + [None] * 3)[:3]
    content = b"\x41" if durable is True else b"\x42"
    content += bytes((0x50, priority)) if type(priority) is int and 0 <= priority < 256 else b"\x40"
    content += b"\x70" + ttl.to_bytes(4, "big") if type(ttl) is int and 0 <= ttl < 2**32 else b"\x40"
    # Whoever gets it next is not the first to acquire it.
    content += b"\x42" + b"\x70" + min(count, 0xFFFF_FFFF).to_bytes(4, "big")
    return _section(_HEADER, bytes((0xC0, len(content) + 1, 5)) + content) + data


def _set_properties(message: Message, fields: object) -> None:
    if type(fields) is not list:
        raise ProtocolError("the properties of a message are no list")
    for (name, wanted), value in zip(_FIELDS, fields):
        if value is None:
            continue
        if wanted is not None:
            if not isinstance(value, wanted):
                raise ProtocolError(f"the {name} of a message has the wrong type")
        elif (name == "to" or name == "reply_to") and not isinstance(value, str):
            raise ProtocolError(f"the {name} of a message is no text")
        setattr(message, name, value)


def _section(code: int, content: bytes) -> bytes:
    return b"\x00\x53" + bytes((code,)) + content


_DATA_SHORT: Final = b"\x00\x53\x75\xa0"
_DATA_LONG: Final = b"\x00\x53\x75\xb0"


def encode(message: Message) -> bytes:
    """Write a message with one data section (or one amqp-value section if ``value`` is set).

    Raises:
        TypeError: If a property has a type that AMQP lacks.
    """
    parts = []
    if message.ttl is not None or message.durable:
        # Header (3.2.1): durable, priority, ttl; ttl is a uint.
        ttl = b"\x70" + message.ttl.to_bytes(4, "big") if message.ttl is not None else b"\x40"
        content = (b"\x41" if message.durable else b"\x42") + b"\x40" + ttl
        parts.append(_section(_HEADER, bytes((0xC0, len(content) + 1, 3)) + content))
    fields: list[object] = [
        message.message_id,
        message.user_id,
        message.to,
        message.subject,
        message.reply_to,
        message.correlation_id,
        None if message.content_type is None else Symbol(message.content_type),
        None if message.content_encoding is None else Symbol(message.content_encoding),
        None if message.absolute_expiry_time is None else Timestamp(message.absolute_expiry_time),
        None if message.creation_time is None else Timestamp(message.creation_time),
        message.group_id,
    ]
    for index in (0, 5):  # an integer as message-id is a ulong (3.2.11)
        if type(fields[index]) is int:
            fields[index] = ULong(fields[index])  # type: ignore[call-overload]
    while fields and fields[-1] is None:
        fields.pop()
    if fields:
        parts.append(_section(_PROPERTIES, encode_value(fields)))
    if message._properties:
        parts.append(_section(_APPLICATION, encode_value(message._properties)))
    elif message._properties is None and message._raw_properties is not None:
        parts.append(_section(_APPLICATION, message._raw_properties))
    if message.value is not None:
        parts.append(_section(_VALUE, encode_value(message.value)))
    else:
        parts.append(encode_body(message.body))
    return b"".join(parts)


def encode_body(body: bytes) -> bytes:
    """Write a body as one data section."""
    size = len(body)
    if size < 256:
        return _DATA_SHORT + bytes((size,)) + body
    return _DATA_LONG + size.to_bytes(4, "big") + body
