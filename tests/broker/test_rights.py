from __future__ import annotations

import pytest

from clacks.amqp.messages import Message, encode
from clacks.common.rights import parse_rights
from tests.broker.world import NS, RIGHTS, World, phone_status


def test_a_login_publishes_only_what_it_may():
    world = World()
    jane, joe = world.peer("jane"), world.peer("joe")
    jane.event(jane.sender("org.clacks.event.PhoneStatus"), context=1)
    assert jane.outcomes[0][1].name == "accepted"
    jane.sender("org.clacks.event.NodeLeave")
    assert jane.condition == "amqp:unauthorized-access"
    joe.sender("org.clacks.event.PhoneStatus")
    assert joe.condition == "amqp:unauthorized-access"


def test_the_address_of_all_events_and_the_relay_check_every_message():
    world = World()
    jane, reader = world.peer("jane"), world.peer()
    reader.receiver("org.clacks.event")
    leave = f'<Event xmlns="{NS}"><NodeLeave><Id>n1</Id></NodeLeave></Event>'.encode()
    everything, relay = jane.sender("org.clacks.event"), jane.sender(None)
    jane.event(everything, context=1)
    jane.send(everything, Message(body=leave, subject="NodeLeave"), context=2)
    jane.send(relay, Message(body=leave, subject="NodeLeave", to="org.clacks.event.NodeLeave"), context=3)
    assert [outcome.condition for _, outcome in jane.outcomes] == [
        "",
        "amqp:unauthorized-access",
        "amqp:unauthorized-access",
    ]
    assert reader.bodies == [phone_status("1")]
    assert world.dropped("no right") == 2


def test_a_subscriber_to_all_gets_only_the_types_that_it_may_read():
    world = World()
    admin, jane, joe = world.peer(), world.peer("jane"), world.peer("joe")
    for address in ("org.clacks.event", "org.clacks.event.#", "org.clacks.event.*"):
        jane.receiver(address)
    joe.receiver("org.clacks.event")
    leave = f'<Event xmlns="{NS}"><NodeLeave><Id>n1</Id></NodeLeave></Event>'.encode()
    admin.send(admin.sender("org.clacks.event.NodeLeave"), Message(body=leave, subject="NodeLeave"))
    admin.event(admin.sender("org.clacks.event.PhoneStatus"))
    assert jane.bodies == [phone_status("1")] * 3
    assert joe.bodies == [leave, phone_status("1")]


def test_who_may_read_nothing_cannot_subscribe():
    world = World()
    nobody = world.peer("nobody")
    nobody.receiver("org.clacks.event")
    nobody.receiver("org.clacks.event.PhoneStatus")
    nobody.receiver("org.#")
    assert [name for name, _ in nobody.errors] == ["amqp:unauthorized-access"] * 3


def test_a_pattern_outside_the_domain_does_not_reach_around_the_rights():
    world = World(
        rights=parse_rights(
            RIGHTS
            + '[users.snoop]\nroles = ["snoop"]\n[roles.snoop]\ncreate = ["#", "*.event.*", "public.*"]'
        )
    )
    admin, snoop = world.peer(), world.peer("snoop")
    snoop.receiver("#")
    snoop.receiver("*.clacks.event.*")
    assert snoop.errors == []
    admin.event(admin.sender("org.clacks.event.PhoneStatus"))
    admin.send(admin.sender("secret.x"), Message(body=b"secret"))
    admin.send(admin.sender("public.x"), Message(body=b"public"))
    assert snoop.bodies == [b"public"]


def test_other_topics_are_made_by_those_with_the_right_and_used_by_all():
    world = World()
    jane, joe = world.peer("jane"), world.peer("joe")
    joe.receiver("weather.x")
    assert joe.condition == "amqp:unauthorized-access"
    sender = jane.sender("weather.x")
    joe.receiver("weather.x")
    jane.send(sender, Message(body=b"rain"))
    assert joe.bodies == [b"rain"]
    jane.sender("sport.x")
    assert jane.condition == "amqp:unauthorized-access"


def test_only_agents_take_calls():
    world = World()
    joe, agent = world.peer("joe"), world.peer("agent")
    joe.receiver("org.clacks.command.core")
    assert joe.condition == "amqp:unauthorized-access"
    agent.receiver("org.clacks.command.core")
    joe.send(joe.sender("org.clacks.command.core"), Message(body=b"call"))
    assert agent.bodies == [b"call"]


def test_a_client_reads_its_own_queue_and_agents_write_to_it():
    world = World()
    jane, joe, agent = world.peer("jane"), world.peer("joe"), world.peer("agent")
    jane.receiver("org.clacks.client.desk-1")
    agent.send(agent.sender("org.clacks.client.desk-1"), Message(body=b"do"))
    assert jane.bodies == [b"do"]
    jane.receiver("org.clacks.client.desk-2")
    assert jane.condition == "amqp:unauthorized-access"
    joe.sender("org.clacks.client.desk-1")
    assert joe.condition == "amqp:unauthorized-access"


def test_answers_at_named_addresses_are_read_by_their_user_only():
    world = World()
    joe, jane = world.peer("joe"), world.peer("jane")
    joe.receiver("reply.joe.1")
    jane.receiver("reply.joe.1")
    jane.receiver("reply.joe.#")
    assert [name for name, _ in jane.errors] == ["amqp:unauthorized-access"] * 2
    jane.send(jane.sender("reply.joe.1"), Message(body=b"answer"))
    assert joe.bodies == [b"answer"]


@pytest.mark.parametrize(
    "address", ["weather.x", "org.clacks.event.PhoneStatus", "org.clacks.command.core", None]
)
def test_a_foreign_user_id_is_refused_everywhere(address):
    world = World()
    admin, reader = world.peer(), world.peer()
    target = address or "weather.x"
    reader.receiver(target)
    sender = admin.sender(address)
    message = Message(body=phone_status(), subject="PhoneStatus", user_id=b"jane", to=target)
    admin.send(sender, message, context=1)
    admin.send(sender, message)
    assert admin.outcomes[0][1].condition == "amqp:unauthorized-access"
    assert world.dropped("foreign user-id") == 2
    message.user_id = b"admin"
    admin.send(sender, message)
    assert len(reader.got) == 1


def test_rights_that_change_close_links_and_filter_what_is_left():
    world = World()
    admin, jane = world.peer(), world.peer("jane")
    jane.receiver("org.clacks.event")
    jane.receiver("org.clacks.event.PhoneStatus")
    jane.sender("org.clacks.event.PhoneStatus")
    jane.receiver("org.clacks.client.desk-1")
    keep = jane.sender("org.clacks.command.core")
    world.broker.set_rights(
        parse_rights(
            RIGHTS.replace('publish = ["PhoneStatus"]\nread = ["PhoneStatus"]', 'read = ["NodeLeave"]')
        )
    )
    world.run()
    assert [name for name, _ in jane.errors] == ["amqp:unauthorized-access"] * 2
    assert keep.alive
    leave = f'<Event xmlns="{NS}"><NodeLeave><Id>n1</Id></NodeLeave></Event>'.encode()
    admin.event(admin.sender("org.clacks.event.PhoneStatus"))
    admin.send(admin.sender("org.clacks.event.NodeLeave"), Message(body=leave, subject="NodeLeave"))
    assert jane.bodies == [leave]


def test_a_user_that_is_removed_loses_its_links():
    world = World()
    admin, jane = world.peer(), world.peer("jane")
    jane.receiver("org.clacks.event")
    relay = jane.sender(None)
    world.broker.set_rights(parse_rights('[users.admin]\nroles = ["admin"]'))
    world.run()
    assert jane.condition == "amqp:unauthorized-access"
    jane.event(relay, to="org.clacks.event.PhoneStatus", context=1)
    assert jane.outcomes[0][1].condition == "amqp:unauthorized-access"
    admin.event(admin.sender("org.clacks.event.PhoneStatus"))
    assert jane.got == []


def test_what_a_closed_connection_still_sends_does_not_count():
    world = World()
    joe, agent = world.peer("joe"), world.peer("agent")
    agent.receiver("org.clacks.command.core")
    sender = joe.sender("org.clacks.command.core")
    joe.connection.close("amqp:unauthorized-access", "the password has changed")
    sender.send(encode(Message(body=b"call")))
    link = joe.session.sender("another")
    link.target.address = "org.clacks.command.core"
    link.open()
    joe.connection.receive(joe.engine.bytes_to_send(), world.now)
    world.run()
    assert agent.got == []
    assert world.dropped("connection closed") == 1
    assert joe.closed == ("amqp:unauthorized-access", "the password has changed")
    assert world.broker.queue("org.clacks.command.core").senders == 0  # type: ignore[union-attr]
