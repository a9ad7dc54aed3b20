from __future__ import annotations

import contextlib
import hashlib
import hmac
import random
import struct

import pytest

from clacks.net.feedback_cipher import decrypt_ofb
from clacks.sources.collectd_packets import Measurement, PacketError, Security, read_packet, read_passwords

SECRETS = {"jane": "secret"}


def part(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(body)) + body


def text(kind: int, words: str) -> bytes:
    return part(kind, words.encode() + b"\0")


LOAD = (
    text(0, "desk-1")
    + part(8, struct.pack(">Q", 1_700_000_000 << 30))
    + part(9, struct.pack(">Q", 10 << 30))
    + text(2, "load")
    + text(4, "load")
    + part(6, struct.pack(">H3B", 3, 1, 1, 1) + struct.pack("<3d", 0.5, 0.25, 0.125))
)
IF = (
    text(2, "interface")
    + text(3, "eth0")
    + text(4, "if_octets")
    + part(6, struct.pack(">H2B", 2, 2, 2) + struct.pack(">2q", 7, -9))
)


def signed(body: bytes, user: str = "jane", secret: str = "secret") -> bytes:
    digest = hmac.digest(secret.encode(), user.encode() + body, "sha256")
    return part(0x0200, digest + user.encode()) + body


def encrypted(body: bytes, user: str = "jane", secret: str = "secret") -> bytes:
    vector = bytes(range(16))
    key = hashlib.sha256(secret.encode()).digest()
    hidden = decrypt_ofb(key, vector, hashlib.sha1(body).digest() + body)
    return part(0x0210, struct.pack(">H", len(user)) + user.encode() + vector + hidden)


def test_values_have_the_names_and_times_of_the_parts_before_them() -> None:
    load, octets = read_packet(LOAD + IF)
    assert load == Measurement("desk-1", "load", "", "load", "", 1_700_000_000.0, 10.0, (0.5, 0.25, 0.125))
    assert (octets.host, octets.plugin_instance, octets.values) == ("desk-1", "eth0", (7.0, -9.0))


def test_old_collectd_tells_whole_seconds() -> None:
    old = text(0, "h") + part(1, struct.pack(">Q", 5)) + part(7, struct.pack(">Q", 60)) + LOAD[-33:]
    assert [(item.time, item.interval) for item in read_packet(old)] == [(5.0, 60.0)]


def test_parts_that_nobody_knows_are_passed_over() -> None:
    assert read_packet(part(0x0777, b"what") + LOAD) == read_packet(LOAD)


def test_a_signed_packet_is_believed_if_the_signature_is_right() -> None:
    for security in (Security.NONE, Security.SIGN):
        assert read_packet(signed(LOAD), security=security, passwords=SECRETS) == read_packet(LOAD)


def test_an_encrypted_packet_is_read_with_the_password() -> None:
    found = read_packet(encrypted(LOAD), security=Security.ENCRYPT, passwords=SECRETS, decrypt=decrypt_ofb)
    assert found == read_packet(LOAD)


@pytest.mark.parametrize(
    ("packet", "security", "reason"),
    [
        (LOAD, Security.SIGN, "not signed"),
        (signed(LOAD), Security.ENCRYPT, "not encrypted"),
        (signed(LOAD, secret="wrong"), Security.NONE, "signature is wrong"),
        (signed(LOAD, user="bob"), Security.SIGN, "unknown user b'bob'"),
        (signed(LOAD)[:-8] + b"\0" * 8, Security.SIGN, "signature is wrong"),
        (LOAD + signed(IF), Security.SIGN, "not signed"),
        (encrypted(LOAD, secret="wrong"), Security.ENCRYPT, "the password is wrong"),
        (encrypted(encrypted(LOAD)), Security.ENCRYPT, "inside of what is encrypted"),
        (part(0x0210, b"\0\4jane"), Security.NONE, "too short"),
        (part(0x0200, b"x" * 32), Security.NONE, "without a user"),
        (b"\0\0\0", Security.NONE, "left over"),
        (b"\0\0\0\3", Security.NONE, "claims 3 bytes"),
        (b"\0\0\xff\xff", Security.NONE, "claims 65535 bytes of 4"),
        (part(0, b"no end"), Security.NONE, "does not end as a text"),
        (part(0, b"\xff\0"), Security.NONE, "not UTF-8"),
        (part(0, b"x" * 2000 + b"\0"), Security.NONE, "a name of 2001 bytes"),
        (part(8, b"1"), Security.NONE, "a number of 1 bytes"),
        (part(6, b""), Security.NONE, "without a number of values"),
        (part(6, b"\0\0"), Security.NONE, "0 values in 2 bytes"),
        (part(6, b"\xff\xff\1"), Security.NONE, "65535 values in 3 bytes"),
        (part(6, b"\0\1\7" + b"\0" * 8), Security.NONE, "unknown kind 7"),
    ],
)
def test_what_cannot_be_believed_is_refused_with_its_reason(
    packet: bytes, security: Security, reason: str
) -> None:
    with pytest.raises(PacketError) as error:
        read_packet(packet, security=security, passwords=SECRETS, decrypt=decrypt_ofb)
    assert reason in str(error.value)


def test_any_bytes_are_read_or_refused_and_nothing_else() -> None:
    dice = random.Random(4)
    whole = encrypted(signed(LOAD + IF)) + signed(LOAD + IF)
    for _ in range(5000):
        damaged = bytearray(dice.choice([LOAD + IF, whole, dice.randbytes(60)]))
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with contextlib.suppress(PacketError):
            cut = bytes(damaged[: dice.randint(1, len(damaged))])
            read_packet(cut, passwords=SECRETS, decrypt=decrypt_ofb)


def test_passwords_are_read_as_collectd_writes_them() -> None:
    assert read_passwords("jane: secret\n# bob: no\n\nann:a:b\nnothing\n") == {"jane": "secret", "ann": "a:b"}
