"""Read the packets of collectd's network plugin ("binary protocol"). Pure: bytes in, measurements out.

A packet is a row of parts: type and length in two bytes each, then the content. Parts that name host, plugin,
type and time hold for the values that follow. Parts that sign or encrypt hold for the rest of the packet or
contain it. Everything in a packet is foreign: a length that does not fit ends the reading with an error, and
what was read before it counts only if the packet need not be signed.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Measurement", "PacketError", "Security", "read_packet", "read_passwords"]

Decrypt = Callable[[bytes, bytes, bytes], bytes]
"""Key, initialization vector and data to clear text, by AES-256 in output feedback mode."""


class PacketError(Exception):
    """What came is no packet of collectd, or not one that may be believed; the text says why."""


class Security(enum.Enum):
    """What a packet must be at least."""

    NONE = "none"
    SIGN = "sign"
    ENCRYPT = "encrypt"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value list of collectd.

    Attributes:
        host, plugin, plugin_instance, type, type_instance: Where it comes from; instances may be empty.
        time: Seconds since 1970.
        interval: Seconds to the next one.
        values: One number for each data source of the type.
    """

    host: str = ""
    plugin: str = ""
    plugin_instance: str = ""
    type: str = ""
    type_instance: str = ""
    time: float = 0.0
    interval: float = 0.0
    values: tuple[float, ...] = ()


# Numbers of the parts, from the protocol's description.
_HOST: Final = 0x0000
_TIME: Final = 0x0001
_PLUGIN: Final = 0x0002
_PLUGIN_INSTANCE: Final = 0x0003
_TYPE: Final = 0x0004
_TYPE_INSTANCE: Final = 0x0005
_VALUES: Final = 0x0006
_INTERVAL: Final = 0x0007
_TIME_FINE: Final = 0x0008  # in units of 2^-30 seconds
_INTERVAL_FINE: Final = 0x0009
_SIGNATURE: Final = 0x0200
_ENCRYPTION: Final = 0x0210

_TEXTS: Final = {
    _HOST: "host",
    _PLUGIN: "plugin",
    _PLUGIN_INSTANCE: "plugin_instance",
    _TYPE: "type",
    _TYPE_INSTANCE: "type_instance",
}
_NUMBERS: Final = {
    _TIME: ("time", 1.0),
    _TIME_FINE: ("time", 2.0**-30),
    _INTERVAL: ("interval", 1.0),
    _INTERVAL_FINE: ("interval", 2.0**-30),
}
_HEAD: Final = struct.Struct(">HH")
_LONG: Final = struct.Struct(">Q")
# Counter, gauge (little-endian, as x86 has it), derive, absolute.
_KINDS: Final = {
    0: struct.Struct(">Q"),
    1: struct.Struct("<d"),
    2: struct.Struct(">q"),
    3: struct.Struct(">Q"),
}

_LONGEST_NAME: Final = 1024
"""Bytes of a name; collectd's own limit is 128 unless it was built with another one."""


def read_packet(
    data: bytes,
    *,
    security: Security = Security.NONE,
    passwords: Mapping[str, str] | None = None,
    decrypt: Decrypt | None = None,
) -> list[Measurement]:
    """Return the measurements of one packet.

    Args:
        data: The packet.
        security: What it must be at least.
        passwords: By user, for packets that are signed or encrypted.
        decrypt: Reads encrypted ones.

    Raises:
        PacketError: It is damaged, or not signed or encrypted as it must be. Nothing of it counts.
    """
    return list(_measurements(data, security, passwords or {}, decrypt, 0))


def _measurements(
    data: bytes, security: Security, passwords: Mapping[str, str], decrypt: Decrypt | None, trusted: int
) -> Iterator[Measurement]:
    """Read parts; ``trusted`` is 0 for plain, 1 for signed, 2 for encrypted ones."""
    needed = {Security.NONE: 0, Security.SIGN: 1, Security.ENCRYPT: 2}[security]
    now = Measurement()
    at = 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise PacketError(f"{len(data) - at} bytes are left over")
        kind, length = _HEAD.unpack_from(data, at)
        if not _HEAD.size <= length <= len(data) - at:
            raise PacketError(f"a part of type {kind:#06x} claims {length} bytes of {len(data) - at}")
        body = data[at + _HEAD.size : at + length]
        at += length
        if kind == _SIGNATURE:
            _check_signature(body, data[at:], passwords)
            trusted = max(trusted, 1)
        elif kind == _ENCRYPTION:
            if trusted == 2:
                raise PacketError("encrypted inside of what is encrypted")
            clear = _clear(body, passwords, decrypt)
            yield from _measurements(clear, security, passwords, decrypt, 2)
        elif kind in _TEXTS:
            now = replace(now, **{_TEXTS[kind]: _text(body)})  # type: ignore[arg-type]  # fields of text
        elif kind in _NUMBERS:
            if len(body) != _LONG.size:
                raise PacketError(f"a number of {len(body)} bytes")
            name, unit = _NUMBERS[kind]
            now = replace(now, **{name: _LONG.unpack(body)[0] * unit})
        elif kind == _VALUES:
            if trusted < needed:
                raise PacketError(f"not {'signed' if security is Security.SIGN else 'encrypted'}")
            yield replace(now, values=_values(body))
        # Others are passed over, as the description says: notifications, and what is to come.


def _text(body: bytes) -> str:
    if not body or body[-1] or len(body) > _LONGEST_NAME:
        raise PacketError(f"a name of {len(body)} bytes, which does not end as a text")
    try:
        return body[:-1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise PacketError("a name is not UTF-8") from error


def _values(body: bytes) -> tuple[float, ...]:
    if len(body) < 2:
        raise PacketError("values without a number of values")
    (count,) = struct.unpack_from(">H", body)
    if len(body) != 2 + 9 * count or not count:
        raise PacketError(f"{count} values in {len(body)} bytes")
    numbers = []
    for index in range(count):
        form = _KINDS.get(body[2 + index])
        if form is None:
            raise PacketError(f"a value of the unknown kind {body[2 + index]}")
        numbers.append(float(form.unpack_from(body, 2 + count + 8 * index)[0]))
    return tuple(numbers)


def _check_signature(body: bytes, rest: bytes, passwords: Mapping[str, str]) -> None:
    """Hold HMAC-SHA-256 of user name and rest of the packet against what is there."""
    if len(body) <= 32:
        raise PacketError("a signature without a user")
    password = _password(body[32:], passwords)
    if not hmac.compare_digest(hmac.digest(password, body[32:] + rest, "sha256"), body[:32]):
        raise PacketError("the signature is wrong")


def _clear(body: bytes, passwords: Mapping[str, str], decrypt: Decrypt | None) -> bytes:
    """Decrypt: length of the user name, user name, vector (16 bytes), and encrypted SHA-1 and parts."""
    length = int.from_bytes(body[:2], "big")
    if len(body) < 2 + length + 16 + 20 or not length:
        raise PacketError("an encrypted part is too short")
    if decrypt is None:
        raise PacketError("encrypted packets cannot be read here")
    key = hashlib.sha256(_password(body[2 : 2 + length], passwords)).digest()
    start = 2 + length
    clear = decrypt(key, body[start : start + 16], body[start + 16 :])
    # The protocol's own check, not ours: SHA-1 tells a wrong key or damage.
    if not hmac.compare_digest(hashlib.sha1(clear[20:], usedforsecurity=False).digest(), clear[:20]):
        raise PacketError("an encrypted part is damaged, or the password is wrong")
    return clear[20:]


def _password(user: bytes, passwords: Mapping[str, str]) -> bytes:
    try:
        return passwords[user.decode("utf-8")].encode("utf-8")
    except (KeyError, UnicodeDecodeError):
        raise PacketError(f"unknown user {user[:64]!r}") from None


def read_passwords(text: str) -> dict[str, str]:
    """Return the passwords by user of the text of an ``AuthFile``: ``user: password`` in each line."""
    found = {}
    for line in text.splitlines():
        user, colon, password = line.partition(":")
        if colon and user.strip() and not user.lstrip().startswith("#"):
            found[user.strip()] = password.strip()
    return found
