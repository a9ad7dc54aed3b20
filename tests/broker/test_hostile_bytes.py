"""Valid streams with a few bytes changed: the broker answers with errors of AMQP, never with an exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proton import Described, symbol, ulong

from clacks.amqp.engine import Engine
from clacks.amqp.messages import Message
from tests.broker.world import Peer, World, phone_status


class _Recording(Engine):
    """Keeps what it has sent."""

    def __init__(self, *args: object, **settings: object) -> None:
        self.sent: list[bytes] = []
        super().__init__(*args, **settings)  # type: ignore[arg-type]

    def bytes_to_send(self) -> bytes:
        data = super().bytes_to_send()
        self.sent.append(data)
        return data


def _record() -> bytes:
    """Return what a busy client sends."""
    world = World()
    peer = Peer(world, "admin")
    peer.engine = _Recording(peer, server=False, container_id="admin")
    peer.engine.connection.open()
    peer.session = peer.engine.connection.session()
    peer.session.open()
    world.peers.append(peer)
    world.run()
    query = Described(ulong(0x0000_468C_0000_0005), "true()")
    peer.receiver("org.clacks.event", filters={symbol("q"): query})
    peer.receiver("weather.#", "topic")
    peer.receiver(None)
    core = peer.receiver("org.clacks.command.core")
    event = peer.sender("org.clacks.event.PhoneStatus", "topic")
    relay = peer.sender(None)
    message = Message(body=phone_status(), subject="PhoneStatus", user_id=b"admin", ttl=1000)
    message.properties = {"a": 1, "b": "c"}
    for _ in range(3):
        peer.send(event, message, context=1)
    message.to = "weather.x"
    peer.send(relay, message)
    message.to = "org.clacks.command.core"
    peer.send(relay, message)
    peer.close(core)
    peer.session.close()
    world.run()
    sent = b"".join(peer.engine.sent)
    # Proton's objects go now and in order, not whenever the collector of garbage comes by.
    for connection in list(world.broker.connections):
        connection.lost(world.now)
    peer.engine.free()
    return sent


STREAM = _record()


_STEP = 40
"""Bytes at a time: proton takes no transfer before it has written its own begin."""


_LONGEST_TTL = 2**32
"""Milliseconds; a changed byte may be one of the header's ``ttl``."""


def _feed(data: bytes) -> World:
    world = World()
    connection = world.broker.connect(user="admin")
    for start in range(0, len(data), _STEP):
        connection.receive(data[start : start + _STEP], world.now)
        connection.bytes_to_send()
        connection.resume(world.now)
    world.broker.tick(world.now)
    connection.lost(world.now)
    return world


def _left_behind(world: World) -> list[object]:
    world.broker.tick(world.now + _LONGEST_TTL)  # a call may wait for an agent as long as it lives
    broker = world.broker
    return [*broker.connections, *broker.topics, *broker._queues, *broker._opaque]


def test_the_stream_does_what_it_should():
    world = _feed(STREAM)
    assert world.broker.received.value == 5
    assert world.broker.delivered.value >= 5
    assert _left_behind(world) == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(8, len(STREAM) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_answered_and_leave_nothing(changes):
    data = bytearray(STREAM)
    for at, value in changes:
        data[at] = value
    assert _left_behind(_feed(bytes(data))) == []


@settings(max_examples=50, deadline=None)
@given(st.integers(8, len(STREAM) - 1), st.binary(max_size=50))
def test_a_stream_that_is_cut_and_goes_on_with_garbage_leaves_nothing(at, garbage):
    assert _left_behind(_feed(STREAM[:at] + garbage)) == []


@pytest.mark.parametrize(
    "filters",
    [
        [1, 2],
        "text",
        {1: Described(ulong(5), "x")},
        {symbol("q"): Described([1], "x")},
        {symbol("q"): Described(True, "x")},
        {symbol("q" * 3000): Described(symbol("y" * 3000), {symbol("z"): [1] * 100})},
    ],
)
def test_filter_sets_that_are_none_refuse_the_link(filters):
    world = World()
    peer = world.peer()
    peer.receiver("org.clacks.event", filters=filters)
    assert peer.condition in ("amqp:invalid-field", "amqp:not-implemented")
    assert len(world.broker.topics) == 0


def test_a_filter_that_is_null_is_no_filter():
    world = World()
    peer = world.peer()
    peer.receiver("org.clacks.event", filters={symbol("q"): None})
    peer.event(peer.sender("org.clacks.event.PhoneStatus"))
    assert len(peer.got) == 1


def test_a_deeply_nested_filter_refuses_the_link():
    nested: object = "x"
    for _ in range(400):
        nested = [nested]
    world = World()
    peer = world.peer()
    peer.receiver("org.clacks.event", filters={symbol("q"): Described(ulong(5), nested)})
    assert peer.condition in ("amqp:invalid-field", "amqp:not-implemented")


def test_an_address_that_is_not_utf8_refuses_the_link():
    good = World()
    peer = good.peer()
    marker = "zzzzzzzz"
    link = peer.session.sender("l")
    link.target.address = marker
    link.open()
    data = peer.engine.bytes_to_send().replace(marker.encode(), b"\xff" * 8)
    peer.connection.receive(data, good.now)
    good.run()
    assert peer.condition == "amqp:invalid-field"
