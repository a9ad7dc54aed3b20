from __future__ import annotations

import proton

from clacks.amqp.links import Outcome
from clacks.amqp.messages import Message, encode
from clacks.common.limits import Limits
from tests.broker.world import World

CORE = "org.clacks.command.core"


def _outcomes(outcomes: list[tuple[object, Outcome]]) -> dict[object, str]:
    return {context: outcome.name for context, outcome in outcomes}


def test_consumers_take_turns():
    world = World()
    caller, one, other = world.peer("joe"), world.peer("agent"), world.peer("agent")
    one.receiver(CORE)
    other.receiver(CORE)
    sender = caller.sender(CORE)
    for number in range(6):
        caller.send(sender, Message(body=b"%d" % number), context=number)
    assert sorted(one.bodies + other.bodies) == [b"%d" % number for number in range(6)]
    assert len(one.got) == len(other.got) == 3
    assert _outcomes(caller.outcomes) == dict.fromkeys(range(6), "accepted")


def test_a_consumer_without_credit_is_passed_over():
    world = World()
    caller, busy, free = world.peer(), world.peer("agent"), world.peer("agent")
    busy.receiver(CORE, window=0)
    free.receiver(CORE)
    sender = caller.sender(CORE)
    for number in range(4):
        caller.send(sender, Message(body=b"%d" % number), context=number)
    assert len(free.got) == 4
    assert busy.got == []


def test_a_call_waits_for_an_agent_and_its_caller_hears_only_then():
    world = World()
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), Message(body=b"call"), context="call")
    assert caller.outcomes == []
    agent = world.peer("agent")
    agent.receiver(CORE)
    assert agent.bodies == [b"call"]
    assert _outcomes(caller.outcomes) == {"call": "accepted"}


def test_a_call_that_nobody_takes_in_time_comes_back():
    world = World()
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), Message(body=b"call", ttl=30_000), context="call")
    world.wait(31)
    assert _outcomes(caller.outcomes) == {"call": "rejected"}
    assert caller.outcomes[0][1].condition == "clacks:expired"
    agent = world.peer("agent")
    agent.receiver(CORE)
    assert agent.got == []
    assert world.dropped("expired") == 1


def test_an_expired_call_is_not_handed_to_an_agent_that_comes_before_the_next_tick():
    world = World()
    caller = world.peer("joe")
    caller.send(caller.sender(CORE), Message(body=b"call", ttl=1000), context="call")
    world.now += 2
    agent = world.peer("agent")
    agent.receiver(CORE)
    assert agent.got == []
    assert _outcomes(caller.outcomes) == {"call": "rejected"}


def test_a_released_message_goes_to_the_next_consumer_unchanged():
    world = World()
    caller, one, other = world.peer(), world.peer("agent"), world.peer("agent")
    one.hold = True
    one.receiver(CORE)
    raw = encode(Message(body=b"call", ttl=30_000))
    caller.send(caller.sender(CORE), raw, context="call")
    assert len(one.got) == 1
    other.receiver(CORE)
    assert one.incoming[0] is not None
    one.incoming[0].release()
    world.run()
    assert other.got == [raw]
    assert len(one.got) == 1
    assert _outcomes(caller.outcomes) == {"call": "accepted"}


def test_a_message_that_all_have_released_is_offered_again_later_not_at_once():
    world = World()
    caller, agent = world.peer(), world.peer("agent")
    agent.hold = True
    agent.receiver(CORE)
    sender = caller.sender(CORE)
    caller.send(sender, Message(body=b"1"), context=1)
    assert agent.incoming[0] is not None
    agent.incoming[0].release()
    world.run()
    caller.send(sender, Message(body=b"2"), context=2)
    assert agent.bodies == [b"1", b"2"]  # others pass meanwhile
    world.wait(1)
    assert agent.bodies == [b"1", b"2", b"1"]


def test_a_rejected_message_is_gone_and_its_sender_hears_why():
    world = World()
    caller, agent = world.peer(), world.peer("agent")
    agent.hold = True
    agent.receiver(CORE)
    caller.send(caller.sender(CORE), Message(body=b"1"), context=1)
    assert agent.incoming[0] is not None
    agent.incoming[0].reject("amqp:decode-error", "no JSON")
    world.run()
    assert repr(caller.outcomes[0][1]) == "Outcome('rejected', 'amqp:decode-error', 'no JSON')"
    assert len(agent.got) == 1


def test_what_a_lost_consumer_had_goes_to_another_with_its_count():
    world = World()
    caller, one, other = world.peer(), world.peer("agent"), world.peer("agent")
    one.hold = True
    one.receiver(CORE)
    sender = caller.sender(CORE)
    for number in range(3):
        caller.send(sender, Message(body=b"%d" % number, subject="s"), context=number)
    other.receiver(CORE)
    assert caller.outcomes == []
    one.lose()
    assert other.bodies == [b"0", b"1", b"2"]
    received = proton.Message()
    received.decode(other.got[0])
    assert received.delivery_count == 1
    assert received.subject == "s"
    assert _outcomes(caller.outcomes) == dict.fromkeys(range(3), "accepted")


def test_what_a_detached_consumer_had_goes_to_another():
    world = World()
    caller, one, other = world.peer(), world.peer("agent"), world.peer("agent")
    one.hold = True
    link = one.receiver(CORE)
    caller.send(caller.sender(CORE), Message(body=b"1"), context=1)
    one.close(link)
    other.receiver(CORE)
    assert other.bodies == [b"1"]


def test_a_message_that_kills_its_consumers_is_given_up():
    world = World()
    caller = world.peer()
    caller.send(caller.sender(CORE), Message(body=b"poison"), context=1)
    victims = 0
    while not caller.outcomes:
        agent = world.peer("agent")
        agent.hold = True
        agent.receiver(CORE)
        victims += bool(agent.got)
        agent.lose()
        assert victims < 20
    assert victims == 10
    assert _outcomes(caller.outcomes) == {1: "rejected"}
    assert world.dropped("delivered too often") == 1


def test_a_full_queue_takes_nothing_and_says_so():
    world = World(Limits(queue_events=3))
    caller = world.peer()
    sender = caller.sender(CORE)
    for number in range(5):
        caller.send(sender, Message(body=b"x"), context=number)
    assert [(context, outcome.condition) for context, outcome in caller.outcomes] == [
        (3, "amqp:resource-limit-exceeded"),
        (4, "amqp:resource-limit-exceeded"),
    ]
    caller.send(sender, Message(body=b"x"))
    assert world.dropped("queue full") == 3


def test_a_queue_outside_the_domain_accepts_when_it_has_the_message():
    world = World()
    producer = world.peer()
    sender = producer.sender("jobs", "queue")
    producer.send(sender, Message(body=b"1"), context=1)
    assert _outcomes(producer.outcomes) == {1: "accepted"}
    consumer = world.peer()
    consumer.receiver("jobs", "queue")
    assert consumer.bodies == [b"1"]


def test_a_name_is_a_queue_or_a_topic_but_not_both():
    world = World()
    one, other, plain = world.peer(), world.peer(), world.peer()
    one.receiver("jobs", "queue")
    other.receiver("jobs", "topic")
    assert other.condition == "amqp:invalid-field"
    plain.receiver("jobs")
    plain.send(plain.sender("jobs"), Message(body=b"1"))
    plain.send(plain.sender("jobs"), Message(body=b"2"))
    assert sorted(one.bodies + plain.bodies) == [b"1", b"2"]
    assert len(one.got) == 1


def test_a_consumer_may_ask_for_settled_messages():
    world = World()
    caller, agent = world.peer(), world.peer("agent")
    link = agent.session.receiver("settled")
    link.source.address = CORE
    link.snd_settle_mode = link.SND_SETTLED
    agent.engine.receiver(link, 10).open()
    world.run()
    caller.send(caller.sender(CORE), Message(body=b"1"), context=1)
    assert agent.incoming == [None]
    assert _outcomes(caller.outcomes) == {1: "accepted"}


def test_a_queue_cannot_be_browsed_or_filtered():
    world = World()
    agent = world.peer("agent")
    link = agent.session.receiver("browse")
    link.source.address = CORE
    link.source.distribution_mode = link.source.DIST_MODE_COPY
    agent.engine.receiver(link, 10).open()
    world.run()
    assert agent.condition == "amqp:not-implemented"


def test_replies_go_to_a_dynamic_node_over_the_relay():
    world = World()
    caller, agent = world.peer("joe"), world.peer("agent")
    reply = caller.receiver(None).link.remote_source.address
    relay = agent.sender(None)
    agent.send(relay, Message(body=b"answer", to=reply), context=1)
    assert caller.bodies == [b"answer"]
    assert _outcomes(agent.outcomes) == {1: "accepted"}


def test_dynamic_nodes_have_names_of_their_own_and_end_with_their_link():
    world = World()
    caller, agent = world.peer(), world.peer()
    one, other = caller.receiver(None), caller.receiver(None)
    assert one.link.remote_source.address != other.link.remote_source.address
    address = one.link.remote_source.address
    sender = agent.sender(address)
    caller.close(one)
    agent.send(sender, Message(body=b"late"), context=1)
    relay = agent.sender(None)
    agent.send(relay, Message(body=b"late", to=address), context=2)
    assert [(outcome.name, outcome.condition) for _, outcome in agent.outcomes] == [
        ("rejected", "amqp:not-found"),
        ("rejected", "amqp:not-found"),
    ]
    agent.sender(address)
    assert agent.condition == "amqp:not-found"


def test_only_its_owner_reads_a_dynamic_node():
    world = World()
    caller, thief = world.peer("joe"), world.peer("admin")
    address = caller.receiver(None).link.remote_source.address
    thief.receiver(address)
    assert thief.condition == "amqp:unauthorized-access"


def test_the_relay_needs_an_address_that_exists_and_may_be_used():
    world = World()
    jane = world.peer("jane")
    relay = jane.sender(None)
    for number, to in enumerate((None, "", "$reply.guess", "org.clacks.foo", "other.topic", "weather.#")):
        jane.send(relay, Message(body=b"x", to=to), context=number)
    assert [outcome.condition for _, outcome in jane.outcomes] == [
        "amqp:invalid-field",
        "amqp:invalid-field",
        "amqp:not-found",
        "amqp:not-found",
        "amqp:unauthorized-access",
        "amqp:invalid-field",
    ]


def test_the_relay_carries_events_calls_and_topics():
    world = World()
    admin, reader = world.peer(), world.peer()
    relay = admin.sender(None)
    reader.receiver("org.clacks.event")
    reader.receiver("weather.x")
    reader.receiver(CORE)
    admin.event(relay, "1", to="org.clacks.event.PhoneStatus")
    admin.send(relay, Message(body=b"rain", to="weather.x"))
    admin.send(relay, Message(body=b"call", to=CORE))
    assert len(reader.got) == 3


def test_a_queue_that_nobody_uses_is_forgotten_and_one_with_messages_is_not():
    world = World()
    caller = world.peer()
    link = caller.sender(CORE)
    caller.send(link, Message(body=b"x", ttl=5000))
    caller.close(link)
    world.wait(1)
    assert list(world.broker._queues) == [CORE]
    world.wait(5)
    world.wait(1)
    assert not world.broker._queues
    assert world.broker.total.size == 0


def test_undeliverable_messages_pass_to_another_consumer():
    world = World()
    caller, one, other = world.peer(), world.peer("agent"), world.peer("agent")
    one.hold = True
    one.receiver(CORE)
    caller.send(caller.sender(CORE), Message(body=b"1"), context=1)
    other.receiver(CORE)
    incoming = one.incoming[0]
    assert incoming is not None
    delivery = proton.Delivery.wrap(incoming._delivery)
    delivery.local.undeliverable = True
    delivery.local.failed = True
    delivery.update(proton.Delivery.MODIFIED)
    incoming._finish(None)
    world.run()
    assert other.bodies == [b"1"]
    received = proton.Message()
    received.decode(other.got[0])
    assert received.delivery_count == 1


def test_modified_without_failure_is_offered_again_as_it_was():
    world = World()
    caller, agent = world.peer(), world.peer("agent")
    agent.hold = True
    agent.receiver(CORE)
    caller.send(caller.sender(CORE), Message(body=b"1"), context=1)
    agent.hold = False
    incoming = agent.incoming[0]
    assert incoming is not None
    proton.Delivery.wrap(incoming._delivery).update(proton.Delivery.MODIFIED)
    incoming._finish(None)
    world.run()
    assert len(agent.got) == 2
    assert agent.got[0] == agent.got[1]
    assert _outcomes(caller.outcomes) == {1: "accepted"}


def test_draining_a_queue_gives_what_there_is_and_ends_the_credit():
    world = World()
    caller, agent = world.peer(), world.peer("agent")
    link = agent.receiver(CORE, window=0)
    sender = caller.sender(CORE)
    caller.send(sender, Message(body=b"1"))
    link.link.drain(5)
    agent.engine.touch()
    world.run()
    assert agent.bodies == [b"1"]
    assert link.credit == 0
    caller.send(sender, Message(body=b"2"))
    assert len(agent.got) == 1


def test_a_consumer_that_cannot_be_written_to_is_passed_over_and_gets_more_later():
    world = World()
    caller, stuck, well = world.peer(), world.peer("agent"), world.peer("agent")
    stuck.receiver(CORE, window=10_000)
    well.receiver(CORE, window=10_000)
    stuck.writable = False
    sender = caller.sender(CORE)
    for number in range(200):
        caller.send(sender, Message(body=b"%03d" % number + b"x" * 10_000), context=number)
    assert 50 <= len(caller.outcomes) < 200
    stuck.writable = True
    world.run()
    assert len(stuck.got) + len(well.got) == 200
    assert len(well.got) > len(stuck.got)
    assert len(caller.outcomes) == 200
