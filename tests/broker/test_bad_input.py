"""What strangers and careless peers send: an error or a counted drop for them, nothing for others."""

from __future__ import annotations

import pytest
from cproton_ffi import lib

from clacks.amqp.links import _EMPTY_TAG
from clacks.amqp.messages import Message, encode
from clacks.common.limits import DEFAULT_LIMITS, Limits
from tests.broker.world import NS, Peer, World, phone_status

BOMB = (
    '<!DOCTYPE Event [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {n} "{f"&{m};" * 10}">' for m, n in zip("abcdefgh", "bcdefghi"))
    + f']><Event xmlns="{NS}"><PhoneStatus>&i;</PhoneStatus></Event>'
)

BAD_EVENTS = {
    "not well-formed": (b"<Event>", "malformed event", "amqp:decode-error"),
    "empty": (b"", "malformed event", "amqp:decode-error"),
    "DTD": (b"<!DOCTYPE x>" + phone_status(), "malformed event", "amqp:decode-error"),
    "entity bomb": (BOMB.encode(), "malformed event", "amqp:decode-error"),
    "external entity": (
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + phone_status("&e;"),
        "malformed event",
        "amqp:decode-error",
    ),
    "not UTF-8": (phone_status("\xe9").decode().encode("latin-1"), "malformed event", "amqp:decode-error"),
    "deep": (b"<a>" * 500 + b"</a>" * 500, "malformed event", "amqp:decode-error"),
    "unknown event": (
        f'<Event xmlns="{NS}"><PhoneState/></Event>'.encode(),
        "invalid event",
        "amqp:invalid-field",
    ),
    "wrong namespace": (
        phone_status().replace(b"gonicus", b"elsewhere"),
        "invalid event",
        "amqp:invalid-field",
    ),
    "bad value": (
        phone_status().replace(b"<CallerId>", b"<Caller>").replace(b"</CallerId>", b"</Caller>"),
        "invalid event",
        "amqp:invalid-field",
    ),
    "another type": (
        f'<Event xmlns="{NS}"><NodeLeave><Id>n1</Id></NodeLeave></Event>'.encode(),
        "wrong subject",
        "amqp:invalid-field",
    ),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_a_bad_event_is_an_error_to_its_sender_or_a_counted_drop(name):
    body, reason, condition = BAD_EVENTS[name]
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver("org.clacks.event")
    sender = admin.sender("org.clacks.event.PhoneStatus")
    message = Message(body=body, subject="PhoneStatus")
    admin.send(sender, message, context=1)
    admin.send(sender, message)
    outcome = admin.outcomes[0][1]
    assert (outcome.name, outcome.condition) == ("rejected", condition)
    assert outcome.description
    assert world.dropped(reason) == 2
    admin.event(sender, "after")
    assert reader.bodies == [phone_status("after")]


def test_an_event_needs_its_type_as_subject():
    world = World()
    admin = world.peer()
    sender, everything = admin.sender("org.clacks.event.PhoneStatus"), admin.sender("org.clacks.event")
    for number, (link, subject) in enumerate(
        [(sender, None), (sender, "NodeLeave"), (everything, "NodeLeave")]
    ):
        admin.event(link, subject=subject, context=number)
    assert [outcome.condition for _, outcome in admin.outcomes] == ["amqp:invalid-field"] * 3
    assert world.dropped("wrong subject") == 3


def test_drops_are_logged_at_a_bounded_rate(caplog):
    world = World()
    admin = world.peer()
    sender = admin.sender("org.clacks.event.PhoneStatus")
    for _ in range(100):
        admin.send(sender, Message(body=b"<", subject="PhoneStatus"))
    world.now += 60
    admin.send(sender, Message(body=b"<", subject="PhoneStatus"))
    lines = [record.getMessage() for record in caplog.records if record.name == "clacks.broker.drops"]
    assert len(lines) == 2
    assert "unlogged_before=99" in lines[1]
    assert world.dropped("malformed event") == 101


BAD_MESSAGES = {
    "no AMQP": b"hello",
    "empty": b"",
    "cut off": encode(Message(body=b"x" * 100))[:-1],
    "trailing": encode(Message(body=b"x")) + b"\x00",
    "properties behind the body": encode(Message(body=b"x")) + b"\x00\x53\x73\x45",
    "two properties": b"\x00\x53\x73\x45" * 2 + encode(Message(body=b"x")),
    "properties no list": b"\x00\x53\x73\xa1\x00" + encode(Message(body=b"x")),
    "user-id no binary": b"\x00\x53\x73\xc0\x07\x02\x40\xa1\x03joe" + encode(Message(body=b"x")),
    "deep": b"\x00\x53\x77" + b"\x00\x43" * 5000 + b"\x40",
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
@pytest.mark.parametrize(
    "address", ["weather.x", "org.clacks.event.PhoneStatus", "org.clacks.command.core", None]
)
def test_bytes_that_are_no_message_are_dropped_and_counted(name, address):
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver(address or "weather.x")
    sender = admin.sender(address)
    raw = BAD_MESSAGES[name]
    admin.send(sender, raw, context=1)
    admin.send(sender, raw)
    assert admin.outcomes[0][1].condition == "amqp:decode-error"
    assert world.dropped("malformed message") == 2
    assert reader.got == []
    assert sender.alive


def test_a_message_that_is_too_large_ends_its_link_and_not_the_connection():
    world = World(Limits(message_size=100_000))
    admin, reader = world.peer(), world.peer()
    reader.receiver("weather.x")
    large, other = admin.sender("weather.x"), admin.sender("weather.x")
    admin.send(large, Message(body=b"x" * 300_000))
    assert admin.condition == "amqp:link:message-size-exceeded"
    admin.send(other, Message(body=b"y"))
    assert reader.bodies == [b"y"]
    assert world.broker._opaque["weather.x"].links == 2


def test_many_unfinished_messages_at_once_are_bounded():
    world = World(Limits(message_size=100_000))
    admin = world.peer()
    for number in range(20):
        sender = admin.sender(f"weather.{number}")
        body = b"x" * 90_000
        lib.pn_delivery(sender._ptr, _EMPTY_TAG)
        lib.pn_link_send(sender._ptr, body, len(body))
        admin.engine.touch()
        world.run()
    assert admin.connection.engine._partial <= 400_000
    assert {name for name, _ in admin.errors} == {"amqp:resource-limit-exceeded"}


def test_an_aborted_message_is_not_delivered():
    world = World()
    admin, reader = world.peer(), world.peer()
    reader.receiver("weather.x")
    sender = admin.sender("weather.x")
    delivery = lib.pn_delivery(sender._ptr, _EMPTY_TAG)
    lib.pn_link_send(sender._ptr, b"x" * 100_000, 100_000)
    admin.engine.touch()
    world.run()
    lib.pn_delivery_abort(delivery)
    admin.engine.touch()
    world.run()
    assert reader.got == []
    admin.send(sender, Message(body=b"next"))
    assert reader.bodies == [b"next"]


def test_too_many_links_are_refused_one_by_one():
    world = World(Limits(links=5))
    admin = world.peer()
    for number in range(7):
        admin.sender(f"weather.{number}")
    assert [name for name, _ in admin.errors] == ["amqp:resource-limit-exceeded"] * 2
    assert admin.connection.engine.links == 5


def test_a_peer_that_does_not_hear_refusals_is_closed():
    world = World()
    nobody = world.peer("nobody")
    for number in range(1100):
        link = nobody.session.sender(f"again-{number}")
        link.target.address = "secret.x"
        link.open()
    data = nobody.engine.bytes_to_send()
    nobody.connection.receive(data, world.now)
    assert nobody.connection.engine.links < DEFAULT_LIMITS.links
    world.run()
    assert nobody.closed is not None
    assert nobody.closed[0] == "amqp:resource-limit-exceeded"


def test_too_many_sessions_end_the_connection():
    world = World(Limits(sessions=4))
    admin, other = world.peer(), world.peer()
    assert admin.engine.transport.remote_channel_max == 3
    admin.lose()
    other.receiver("weather.x")
    assert other.errors == []


def test_too_many_connections_are_closed_with_the_reason():
    world = World(Limits(connections=2))
    one, two, three = world.peer(), world.peer(), world.peer()
    assert one.closed is two.closed is None
    assert three.closed is not None
    assert three.closed[0] == "amqp:resource-limit-exceeded"
    three.lose()
    two.lose()
    assert world.peer().closed is None


def test_too_many_dynamic_nodes_are_refused():
    world = World(Limits(dynamic_nodes=2))
    peer = world.peer("joe")
    links = [peer.receiver(None) for _ in range(3)]
    assert peer.condition == "amqp:resource-limit-exceeded"
    peer.close(links[0])
    assert peer.receiver(None).link.remote_source.address


def test_too_many_addresses_are_refused():
    world = World(Limits(nodes=3))
    admin = world.peer()
    for number in range(4):
        admin.sender(f"weather.{number}")
    admin.sender("org.clacks.command.x")
    relay = admin.sender(None)
    admin.send(relay, Message(body=b"x", to="org.clacks.command.y"), context=1)
    assert [name for name, _ in admin.errors] == ["amqp:resource-limit-exceeded"] * 2
    assert admin.outcomes[0][1].condition == "amqp:resource-limit-exceeded"


@pytest.mark.parametrize(
    "address", ["x" * 2000, "a." * 40 + "b", "a\nb", "org.clacks", "org.clacks.command.", "org.clacks.other"]
)
def test_addresses_that_mean_nothing_are_refused(address):
    world = World()
    admin = world.peer()
    admin.sender(address)
    admin.receiver(address)
    assert len(admin.errors) == 2
    assert not world.broker._opaque


def test_transactions_are_refused():
    world = World()
    admin = world.peer()
    link = admin.session.sender("tx")
    link.target.type = link.target.COORDINATOR
    admin.engine.sender(link)
    link.open()
    world.run()
    assert admin.condition == "amqp:not-implemented"


def _garbage(world: World, peer: Peer, data: bytes) -> None:
    peer.connection.receive(data, world.now)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 1000,
        b"\xff" * 1000,
        b"\x00\x10\x00\x00\x02\x00\x00\x00",  # a frame of a mebibyte
        b"\x00\x00\x00\x08\x09\x00\x00\x00",  # a data offset beyond the frame
        b"\x00\x00\x00\x12\x02\x00\x00\x07\x00\x53\x14\xc0\x05\x03\x43\x43\xa0\x00",  # no such session
    ],
)
def test_garbage_in_the_stream_ends_that_connection_with_an_error(data):
    world = World()
    hostile, admin, reader = world.peer(), world.peer(), world.peer()
    reader.receiver("weather.x")
    hostile.receiver("weather.x")
    _garbage(world, hostile, data)
    last = hostile.connection.bytes_to_send()
    assert b"amqp:" in last
    assert hostile.connection.ended
    hostile.lose()
    admin.send(admin.sender("weather.x"), Message(body=b"1"))
    assert reader.bodies == [b"1"]


def test_a_peer_that_floods_a_link_after_its_detach_fills_nothing():
    world = World()
    jane = world.peer("jane")
    sender = jane.sender("org.clacks.event.PhoneStatus")
    world.broker.set_rights(world.broker.rights.with_user("jane", ()))
    for _ in range(500):  # it has not read the detach
        sender.send(encode(Message(body=b"x" * 1000)))
        jane.connection.receive(jane.engine.bytes_to_send(), world.now)
    session = lib.pn_session_head(jane.connection.engine._connection_ptr, 0)
    assert lib.pn_session_incoming_bytes(session) == 0
    world.run()
    assert jane.condition == "amqp:unauthorized-access"


def test_a_consumer_with_a_closed_session_window_holds_a_bounded_amount():
    world = World(Limits(queue_events=20))
    admin, hostile = world.peer(), world.peer()
    hostile.session.incoming_capacity = 64 * 1024
    hostile.receiver("weather.x", window=1_000_000)
    hostile.on_message = lambda *args: None  # type: ignore[method-assign]
    sender = admin.sender("weather.x")
    hostile.writable = False
    for _ in range(300):
        admin.send(sender, Message(body=b"x" * 20_000))
        hostile.connection.bytes_to_send()  # the socket takes all, the session does not
        hostile.connection.resume(world.now)
    assert hostile.connection.engine.backlog < 600_000
    assert world.dropped("slow consumer") > 200
