from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clacks.amqp.sasl_frames import (
    FRAME_LIMIT,
    Challenge,
    Code,
    FrameBuffer,
    Init,
    Mechanisms,
    Outcome,
    Response,
    decode_frame,
    describe_opening,
    encode_frame,
)
from clacks.common.errors import ProtocolError

NAMES = st.text("ABCDEFGHIJ-0123456789", min_size=1, max_size=20)
BINARY = st.binary(max_size=700)
FRAMES = st.one_of(
    st.builds(Mechanisms, st.lists(NAMES, min_size=1, max_size=20).map(tuple)),
    st.builds(Init, NAMES, st.none() | BINARY, st.none() | st.text(max_size=60)),
    st.builds(Challenge, BINARY),
    st.builds(Response, BINARY),
    st.builds(Outcome, st.sampled_from(Code), st.none() | BINARY),
)


def framed(body: bytes, *, kind: int = 1, offset: int = 2) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + bytes((offset, kind, 0, 0)) + body


@given(FRAMES)
def test_frame_comes_back_as_it_was_written(frame):
    assert decode_frame(encode_frame(frame)) == frame


@given(FRAMES, st.data())
def test_frame_with_any_byte_changed_is_a_frame_or_a_protocol_error(frame, data):
    raw = bytearray(encode_frame(frame))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        decode_frame(bytes(raw))


@given(FRAMES, st.data())
def test_frame_cut_short_is_refused(frame, data):
    raw = encode_frame(frame)
    body = raw[8 : data.draw(st.integers(8, len(raw) - 1))]
    with pytest.raises(ProtocolError):
        decode_frame(framed(body))


@given(st.lists(FRAMES, max_size=4), st.data())
def test_frames_may_come_in_pieces_of_any_size(frames, data):
    raw = b"".join(encode_frame(frame) for frame in frames)
    buffer, found = FrameBuffer(), []
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        buffer.append(raw[:size])
        raw = raw[size:]
        while (frame := buffer.frame()) is not None:
            found.append(frame)
    assert found == frames
    assert buffer.rest() == b""


def test_bytes_of_another_implementation_are_read():
    # Written down from a broker that packs lists and arrays short, and from one that packs them long.
    short = bytes.fromhex("0053 40 c0 15 01 e0 12 02 a3 05 504c41494e 09 414e4f4e594d4f5553")
    assert decode_frame(framed(short)) == Mechanisms(("PLAIN", "ANONYMOUS"))
    long = bytes.fromhex("0080 0000000000000041 d0 00000011 00000003 a3 05 504c41494e a0 03 006100 40")
    assert decode_frame(framed(long)) == Init("PLAIN", b"\0a\0")
    one = bytes.fromhex("0053 40 c0 08 01 a3 05 504c41494e")
    assert decode_frame(framed(one)) == Mechanisms(("PLAIN",))


def test_symbolic_descriptor_means_the_same():
    name = b"amqp:sasl-outcome:list"
    body = b"\x00\xa3" + bytes((len(name),)) + name + bytes.fromhex("c0 03 01 50 00")
    assert decode_frame(framed(body)) == Outcome(Code.OK)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "an empty SASL frame"),
        ("a0 01 00", "not a described list"),
        ("0053 10 45", "unknown SASL frame: descriptor 0x10"),
        ("0053 41 45", "mechanism of sasl-init is not a symbol"),
        ("0053 41 c0 04 01 a1 01 61", "mechanism of sasl-init is not a symbol"),
        ("0053 41 c0 06 02 a3 01 61 50 01", "initial-response is not binary"),
        ("0053 41 c0 05 04 40 40 40 40", "4 fields; 3 are known"),
        ("0053 42 c0 04 01 a1 01 61", "challenge is not binary"),
        ("0053 44 c0 03 01 50 05", "a ubyte from 0 to 4"),
        ("0053 44 45", "a ubyte from 0 to 4"),
        ("0053 40 45", "not an array of symbols"),
        ("0053 40 c0 05 01 e0 02 00 a3", "not an array of symbols"),
        ("0053 40 c0 05 01 e0 02 ff a3", "255 mechanisms are offered"),
        ("0053 40 c0 07 01 e0 04 01 a3 01 ff", "not printable ASCII"),
        ("0053 41 c0 0a 03 a3 01 61 40 a1 03 ff fe fd", "not UTF-8"),
        ("0053 43 c0 04 01 a0 ff 00", "ends 254 bytes too early"),
        ("0053 43 d0 ffffffff 00000001 a0 01 00", "ends at byte"),
        ("0053 43 c0 05 01 a0 01 00 00", "1 bytes too many"),
        ("0053 43 c1 04 01 a0 01 00", "not a list (type 0xc1)"),
        ("0053 43 c0 02 01 71", "type 0x71 has no place"),
    ],
)
def test_body_that_is_not_what_the_specification_says_is_refused_with_its_reason(body, reason):
    with pytest.raises(ProtocolError, match=re.escape(reason)):
        decode_frame(framed(bytes.fromhex(body)))


def test_frame_that_is_not_sasl_is_refused():
    with pytest.raises(ProtocolError, match="frame of type 0 before the login is finished"):
        decode_frame(framed(bytes.fromhex("0053 10 45"), kind=0))


@pytest.mark.parametrize("offset", [0, 1, 4, 255])
def test_frame_whose_body_begins_nowhere_is_refused(offset):
    with pytest.raises(ProtocolError, match="body begins"):
        decode_frame(framed(b"\x00\x53\x43\x45", offset=offset))


def test_extended_header_is_skipped():
    body = b"\xff\xff\xff\xff" + bytes.fromhex("0053 43 c0 03 01 a0 00")
    assert decode_frame(framed(body, offset=3)) == Response(b"")


@pytest.mark.parametrize("size", [0, 7, FRAME_LIMIT + 1, 0xFFFFFFFF])
def test_size_out_of_bounds_is_refused_before_the_frame_is_there(size):
    buffer = FrameBuffer()
    buffer.append(size.to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match=f"a SASL frame of {size} bytes"):
        buffer.frame()


def test_frame_that_would_be_too_long_is_not_written():
    with pytest.raises(ProtocolError, match="at most 4096"):
        encode_frame(Challenge(bytes(FRAME_LIMIT)))


def test_password_shows_in_no_repr():
    assert "secret" not in repr(Init("PLAIN", b"\0alice\0secret"))
    assert "secret" not in repr(Response(b"secret"))


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "it speaks TLS on a port without TLS"),
        (b"\x15\x03\x03\x00\x02", "it speaks TLS"),
        (b"GET / HTTP/1.1\r\n", "it sent an HTTP request"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a web server listens there"),
        (b"AMQP\x00\x00\x09\x01", "it speaks AMQP 0-9-1"),
        (b"AMQP\x01\x01\x00\x0a", "of before 1.0"),
        (b"AMQP\x00\x01\x00\x00", "it skipped the login"),
        (b"AMQP\x02\x01\x00\x00", "use the port for amqps://"),
        (b"AMQP\x00\x02\x00\x00", "it speaks AMQP 2.0.0"),
        (b"AMQP\x07\x01\x00\x00", "unknown protocol id 7"),
        (b"SSH-2.0-OpenSSH", "its first bytes are b'SSH-2.0-OpenSSH'"),
    ],
)
def test_first_bytes_of_a_stranger_are_explained(opening, words):
    assert words in describe_opening(opening)


@pytest.mark.parametrize("opening", [b"G", b"\x16\x03", b"AMQX", b"AMP"])
def test_header_that_cannot_become_one_is_refused_at_once(opening):
    buffer = FrameBuffer()
    buffer.append(opening)
    with pytest.raises(ProtocolError, match="does not speak AMQP"):
        buffer.header()
