"""Found by fuzzing: proton hands texts over as bytes, and its wrappers raise where these are none.

A container id that is no UTF-8 was read when its owner took a message of a queue: the error ended the
connection of whoever had sent that message. A broker's open frame with a symbol beyond ASCII ended
the client's loop, a character beyond Unicode in a filter the connection without a word. The same did a link
attached twice, as proton's error quotes its name, and words with which a message was rejected.
"""

from __future__ import annotations

import pytest
from proton import Described, symbol, ulong

from clacks.amqp.connection import BusConnection, Closed
from clacks.amqp.engine import Engine
from clacks.amqp.messages import Message
from tests.broker.world import Peer, World

MARKER = "zzzzzzzz"
NONSENSE = b"\xff" * 8
CALL = (
    b'<Event xmlns="http://www.gonicus.de/Events"><PhoneStatus><CallerId>1</CallerId>'
    b"<ReceiverId>2</ReceiverId><Status>busy</Status></PhoneStatus></Event>"
)


class Forger(Engine):
    """Writes nonsense where a marker stands."""

    def bytes_to_send(self) -> bytes:
        return super().bytes_to_send().replace(MARKER.encode(), NONSENSE)


def forging(world: World) -> Peer:
    peer = Peer(world, "admin")
    peer.engine.free()
    peer.engine = Forger(peer, server=False, container_id=MARKER)
    peer.engine.connection.open()
    peer.session = peer.engine.connection.session()
    peer.session.open()
    world.peers.append(peer)
    world.run()
    return peer


def test_a_container_id_that_is_no_text_closes_its_own_connection_only() -> None:
    world = World()
    bad = forging(world)
    assert bad.closed is not None
    assert bad.closed[0] == "amqp:decode-error"
    good = world.peer()
    agent = world.peer("agent")
    agent.receiver("org.clacks.command.core")
    good.send(good.sender("org.clacks.command.core"), Message(body=b"{}", user_id=b"admin"), context=1)
    assert len(agent.got) == 1


@pytest.mark.parametrize("value", [b"\xff\xff\xff\xff", b"\x00\x11\x00\x00"], ids=["huge", "beyond Unicode"])
def test_a_character_that_is_none_refuses_the_link(value: bytes) -> None:
    class Odd(Forger):
        def bytes_to_send(self) -> bytes:
            return Engine.bytes_to_send(self).replace(b"\x73\0\0\0\x7a", b"\x73" + value)

    from proton import char

    world = World()
    peer = world.peer()
    peer.engine.__class__ = Odd
    peer.receiver("org.clacks.event", filters={symbol("q"): Described(ulong(5), char("z"))})
    assert peer.condition in ("amqp:invalid-field", "amqp:not-implemented")


@pytest.mark.parametrize("where", ["capability", "capabilities that are a number", "condition"])
def test_what_a_broker_says_and_nobody_can_read_ends_the_connection(where: str) -> None:
    class Head:
        def on_message(self, *_: object) -> None: ...

        on_credit = on_outcome = on_endpoint = on_message

    broker = Forger(Head(), server=True, container_id="broker")  # type: ignore[arg-type]
    client = BusConnection(container_id="c")
    client.open()
    broker.receive(client.bytes_to_send())
    if where == "capability":
        broker.connection.offered_capabilities = [symbol(MARKER)]
    broker.connection.open()
    if where == "condition":
        broker.close(MARKER, "words")
    data = broker.bytes_to_send()
    if where == "capabilities that are a number":
        body = b"\0\x53\x10\xc0\x0f\x08\xa1\x01b" + b"\x40" * 6 + b"\x70\0\0\0\x05"
        data = data[:8] + (len(body) + 8).to_bytes(4, "big") + b"\x02\0\0\0" + body
    client.receive(data)
    closed = [event for event in client.events() if isinstance(event, Closed)]
    client.free()
    broker.free()
    assert [event.condition for event in closed] == ["amqp:decode-error"]


def test_a_link_attached_twice_whose_name_is_no_text_closes_its_own_connection_only() -> None:
    """proton's error quotes the name."""

    class Twice(Forger):
        def bytes_to_send(self) -> bytes:
            return super().bytes_to_send().replace(b"yyyyyyyy", NONSENSE)

    world = World()
    bad, good = world.peer(), world.peer()
    bad.engine.__class__ = Twice
    bad.on_endpoint = lambda event: None  # type: ignore[method-assign]  # it cannot read its own words either
    good.receiver("org.clacks.event")
    for name in (MARKER, "yyyyyyyy"):
        link = bad.session.sender(name)
        link.target.address = "org.clacks.event"
        link.open()
    bad.engine.touch()
    world.run()
    assert bad.connection.ended == "amqp:invalid-field: link name already attached: " + "\ufffd" * 8
    good.send(good.sender("org.clacks.event.PhoneStatus"), Message(body=CALL, subject="PhoneStatus"))
    assert len(good.got) == 1


def test_a_consumer_that_rejects_with_words_nobody_can_read_disturbs_nobody() -> None:
    world = World()
    caller, agent = world.peer(), world.peer("agent")
    agent.hold = True
    agent.receiver("org.clacks.command.core")
    queue = caller.sender("org.clacks.command.core")
    caller.send(queue, Message(body=b"{}", user_id=b"admin"), context=1)
    [call] = agent.incoming
    assert call is not None
    agent.engine.__class__ = Forger
    call.reject("amqp:precondition-failed", MARKER)
    agent.engine.touch()
    world.run()
    [(context, outcome)] = caller.outcomes
    assert (context, outcome.name, outcome.condition) == (1, "rejected", "amqp:precondition-failed")
    assert outcome.description == "\ufffd" * 8


def test_a_peer_that_hangs_up_with_words_nobody_can_read_is_gone_like_any_other() -> None:
    world = World()
    peer = world.peer()
    peer.engine.__class__ = Forger
    peer.engine.close("amqp:connection:forced", MARKER)
    world.run()
    assert peer.connection.ended == "closed by the peer"
