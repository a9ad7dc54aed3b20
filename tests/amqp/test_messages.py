from __future__ import annotations

import contextlib
import struct
import uuid
from typing import Any

import proton
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clacks.amqp.messages import Envelope, Message, decode, encode, open_envelope, with_delivery_count
from clacks.amqp.types import (
    Described,
    Symbol,
    Timestamp,
    ULong,
    decode_value,
    encode_value,
    skip_value,
)
from clacks.common.errors import ProtocolError

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.just(
    "x" * 300
)
word = st.text("abcXYZ/.-_0123", min_size=1, max_size=40)
int64 = st.integers(-(2**63), 2**63 - 1)
message_ids = st.one_of(st.none(), text, st.integers(0, 2**64 - 1), st.uuids(), st.binary(max_size=40))
simple = st.one_of(text, int64, st.booleans(), st.floats(allow_nan=False), st.binary(max_size=20), st.uuids())

messages = st.builds(
    dict,
    body=st.one_of(st.binary(max_size=100), st.just(bytes(range(256)) * 300)),
    subject=st.one_of(st.none(), text),
    content_type=st.one_of(st.none(), word),
    content_encoding=st.one_of(st.none(), word),
    to=st.one_of(st.none(), text),
    reply_to=st.one_of(st.none(), text),
    message_id=message_ids,
    correlation_id=message_ids,
    user_id=st.one_of(st.none(), st.binary(min_size=1, max_size=40)),
    absolute_expiry_time=st.one_of(st.none(), st.integers(1, 2**42)),
    creation_time=st.one_of(st.none(), st.integers(1, 2**42)),
    group_id=st.one_of(st.none(), text),
    ttl=st.one_of(st.none(), st.integers(1, 2**32 - 1)),
    durable=st.booleans(),
    properties=st.dictionaries(text, simple, max_size=8),
)


def _ours(fields: dict[str, Any]) -> Message:
    message = Message()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@given(messages)
def test_what_we_write_proton_reads(fields):
    theirs = proton.Message()
    theirs.decode(encode(_ours(fields)))
    assert theirs.inferred
    assert bytes(theirs.body) == fields["body"]
    for name in ("subject", "reply_to", "group_id", "durable"):
        assert (getattr(theirs, name) or None) == (fields[name] or None), name
    assert (theirs.address or None) == (fields["to"] or None)
    assert (theirs.user_id or None) == fields["user_id"]
    for theirs_name, name in (("expiry_time", "absolute_expiry_time"), ("creation_time", "creation_time")):
        assert round(getattr(theirs, theirs_name) * 1000) == (fields[name] or 0)
    assert round(theirs.ttl * 1000) == (fields["ttl"] or 0)
    for theirs_id, name in ((theirs.id, "message_id"), (theirs.correlation_id, "correlation_id")):
        assert (bytes(theirs_id) if isinstance(theirs_id, memoryview) else theirs_id) == fields[name]
    if fields["content_type"] is not None:
        assert theirs.content_type == fields["content_type"]
    found = {
        key: bytes(value) if isinstance(value, memoryview) else value
        for key, value in (theirs.properties or {}).items()
    }
    assert found == fields["properties"]


@given(messages)
def test_what_proton_writes_we_read(fields):
    theirs = proton.Message(inferred=True, body=fields["body"], properties=fields["properties"])
    for name in (
        "subject",
        "reply_to",
        "user_id",
        "group_id",
        "content_type",
        "content_encoding",
        "correlation_id",
    ):
        if fields[name] is not None:
            setattr(theirs, name, fields[name])
    if fields["to"] is not None:
        theirs.address = fields["to"]
    if fields["message_id"] is not None:
        theirs.id = fields["message_id"]
    theirs.durable = fields["durable"]
    if fields["ttl"] is not None:
        theirs.ttl = fields["ttl"] / 1000
    if fields["absolute_expiry_time"] is not None:
        theirs.expiry_time = fields["absolute_expiry_time"] / 1000
    raw = bytes(theirs.encode())
    ours = decode(raw)
    for name in (
        "body",
        "subject",
        "to",
        "reply_to",
        "user_id",
        "group_id",
        "durable",
        "properties",
        "message_id",
    ):
        assert (getattr(ours, name) or None) == (fields[name] or None), name
    assert (ours.ttl or None) == (round(theirs.ttl * 1000) or None)
    envelope = open_envelope(raw)
    assert envelope.raw == raw
    assert envelope.user_id == ours.user_id
    assert envelope.to == ours.to
    assert envelope.ttl == ours.ttl
    assert envelope.absolute_expiry_time == ours.absolute_expiry_time
    assert envelope.subject == ours.subject
    assert envelope.body is None
    assert envelope.properties == ours.properties
    assert open_envelope(raw, body=True).body == ours.body


@given(messages)
def test_a_message_survives_writing_and_reading(fields):
    message = _ours(fields)
    again = decode(encode(message))
    for name in fields:
        assert getattr(again, name) == getattr(message, name), name


@given(messages, st.integers(0, 2**32 - 1))
def test_the_delivery_count_changes_nothing_else(fields, count):
    raw = encode(_ours(fields))
    counted = with_delivery_count(raw, count)
    theirs = proton.Message()
    theirs.decode(counted)
    assert theirs.delivery_count == count
    assert not theirs.first_acquirer
    again = decode(with_delivery_count(counted, 7))
    for name in fields:
        assert getattr(again, name) == fields[name], name


def test_a_body_of_several_data_sections_is_joined():
    raw = b"\x00\x53\x75\xa0\x02ab\x00\x53\x75\xa0\x01c"
    assert decode(raw).body == b"abc"
    assert open_envelope(raw) == open_envelope(raw, body=True) == Envelope(raw)
    assert open_envelope(DATA, body=True).body == b"x"
    assert open_envelope(DATA + b"\x00\x53\x78\xc1\x01\x00", body=True).body == b"x"


@pytest.mark.parametrize("value", ["text", b"binary", 5, ["list"], {"a": "map"}, None])
def test_an_amqp_value_as_body_is_read(value):
    decoded = decode(bytes(proton.Message(body=value).encode()))
    if isinstance(value, str):
        assert decoded.body == value.encode()
    elif isinstance(value, bytes):
        assert decoded.body == value
    else:
        assert decoded.value == value


def test_a_value_is_written_as_amqp_value():
    theirs = proton.Message()
    theirs.decode(encode(Message(value={"a": [1, "b"]})))
    assert theirs.body == {"a": [1, "b"]}


def test_long_descriptors_mean_the_same_as_short_ones():
    for descriptor in (
        b"\x80\x00\x00\x00\x00\x00\x00\x00\x75",
        b"\xa3\x10amqp:data:binary",
        b"\xb3\x00\x00\x00\x10amqp:data:binary",
    ):
        raw = b"\x00" + descriptor + b"\xa0\x01x"
        assert decode(raw).body == b"x"
        assert open_envelope(raw).raw == raw


DATA = b"\x00\x53\x75\xa0\x01x"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b"\x00",
        b"\x00\x53",
        b"\x00\x53\x75",
        b"\x00\x53\x99\x40",
        b"\x00\x53\x75\xa1\x01x",
        DATA + b"\x00\x53\x73\x45",
        b"\x00\x53\x73\x45" * 2 + DATA,
        b"\x00\x53\x74\xc1\x01\x00\x00\x53\x73\x45" + DATA,
        b"\x00\x53\x70\x40" + DATA,
        b"\x00\x53\x73\x40" + DATA,
        b"\x00\x53\x73\xc0\x05\x03\x40\x40\x43" + DATA,
        b"\x00\x53\x73\xc0\x05\x04\x40\x40\x40\x43" + DATA,
        b"\x00\x53\x77\x40\x00\x53\x77\x40",
        b"\x00\x53\x77\x40" + DATA,
    ],
)
def test_what_is_no_message_is_refused(raw):
    with pytest.raises(ProtocolError):
        decode(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"x", b"\x00\x53\x75\xa0\x05x", DATA + b"\x00\x53\x73\x45", DATA + b"\x00"]
)
def test_an_envelope_is_read_to_its_end(raw):
    with pytest.raises(ProtocolError):
        open_envelope(raw)


@pytest.mark.parametrize(
    "section", [b"\x40", b"\xc1\x05\x02\x71\x00\x00\x00\x01\x40", b"\xc1\x04\x02\x53\x01\x41"]
)
def test_application_properties_must_be_a_map_with_text_keys(section):
    with pytest.raises(ProtocolError):
        decode(b"\x00\x53\x74" + section + DATA).properties  # noqa: B018 - it raises


@given(st.binary(max_size=200))
@example(b"\x00" * 200)
@example(b"\xd0\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40")
@example(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x45")
@example(b"\xe0\x02\xff\x00\xa0")
@example(b"\xa1\x02\xff\xff")
@example(b"\x73\x00\x11\x00\x00")
def test_any_bytes_are_a_value_or_a_protocol_error(data):
    try:
        _, end = decode_value(data)
    except ProtocolError:
        return
    assert 0 < end <= len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(data):
    for raw in (data, DATA + data, b"\x00\x53\x73" + data):
        for read in (decode, open_envelope):
            with contextlib.suppress(ProtocolError):
                read(raw)


atoms = st.one_of(
    st.none(),
    st.booleans(),
    int64,
    st.integers(0, 2**64 - 1).map(ULong),
    int64.map(Timestamp),
    st.floats(allow_nan=False),
    text,
    st.text("abc:-", max_size=20).map(Symbol),
    st.binary(max_size=20),
    st.uuids(),
)


def _nested(*more: Any) -> st.SearchStrategy[Any]:
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, max_size=5),
            st.dictionaries(text, inner, max_size=5),
            *(build(inner) for build in more),
        ),
        max_leaves=20,
    )


plain_values = _nested()
values = _nested(lambda inner: st.builds(Described, st.integers(0, 2**64 - 1).map(ULong), inner))


@given(values)
def test_a_value_survives_and_can_be_skipped(value):
    data = encode_value(value)
    assert decode_value(data) == (value, len(data))
    assert skip_value(data + b"more", 0) == len(data)


@given(plain_values)  # proton's own reading of nested described values loses its place
def test_a_value_is_what_proton_reads(value):
    source = proton.Data()
    source.decode(encode_value(value))
    source.rewind()
    source.next()
    assert encode_value(_plain(source.get_object())) == encode_value(_plain(value))


def _plain(value: Any) -> Any:
    """Write values of both libraries alike."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, bool) or value is None or isinstance(value, (float, bytes, uuid.UUID)):
        return value
    if isinstance(value, int):
        return ULong(value) if value >= 0 else int(value)
    return str(value)


def test_proton_arrays_are_lists():
    data = proton.Data()
    data.put_array(False, proton.Data.SYMBOL)
    data.enter()
    for name in ("queue", "topic"):
        data.put_symbol(proton.symbol(name))
    data.exit()
    assert decode_value(bytes(data.encode()))[0] == ["queue", "topic"]


def test_what_amqp_has_no_type_for_is_a_type_error():
    with pytest.raises(TypeError):
        encode_value(object())
    with pytest.raises((OverflowError, struct.error)):
        encode_value(2**70)


def test_expiry_is_the_earlier_of_the_two():
    now = 1000.0
    assert Envelope(b"").expires(now) is None
    assert Envelope(b"", ttl=5000).expires(now) == 1005
    assert Envelope(b"", ttl=5000, absolute_expiry_time=1_002_000).expires(now) == 1002
    assert Message(absolute_expiry_time=1_000_000).expired(now)
    assert not Message().expired(now)


@pytest.mark.parametrize(
    "properties",
    [
        b"\x40",
        b"\xc0\x03\x01\xa1\x05",  # a text that is cut off
        b"\xc0\x01\x02",  # fewer fields than it says
        b"\xc0\x03\x01\x40\x40",  # more
        b"\xc0\x0f\x0e" + b"\x40" * 14,  # more than there are
        b"\xd0\xff\xff\xff\xff\x00\x00\x00\x01\x40",
        b"\xc0\x04\x01\xa1\x01\xff",  # no UTF-8
        b"\xc0\x05\x02\x40\xa1\x01x",  # user-id
        b"\xc0\x04\x03\x40\x40\x43",  # to
        b"\xc0\x05\x04\x40\x40\x40\x43",  # subject
        b"\xc0\x0b\x09" + b"\x40" * 8 + b"\xa1\x00",  # expiry
    ],
)
def test_properties_that_are_none_are_refused_by_both_readers(properties):
    raw = b"\x00\x53\x73" + properties + DATA
    with pytest.raises(ProtocolError):
        open_envelope(raw)
    if b"\x0e" not in properties:  # the codec itself takes what a later version may add
        with pytest.raises(ProtocolError):
            decode(raw)
