from __future__ import annotations

import logging

import pytest

from clacks.amqp.links import Sender
from clacks.amqp.messages import Message, encode
from clacks.broker.topics import Subscription
from tests.broker.world import World

LOGGER = "clacks.broker.telling"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


def test_each_message_in_and_out_is_a_line_for_whoever_reads_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    world = World()
    admin, reader = world.peer(), world.peer("joe")
    reader.receiver("org.clacks.event")
    admin.event(admin.sender("org.clacks.event.PhoneStatus"), "1")
    came, went = lines(caplog)
    assert came.startswith(
        "< message user=admin address='org.clacks.event.PhoneStatus' subject='PhoneStatus' bytes="
    )
    assert went.startswith("> message user=joe address='org.clacks.event' subject='PhoneStatus' bytes=")
    assert len(reader.messages) == 1


def test_calls_and_answers_are_told_without_what_would_let_others_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    world = World()
    agent, caller = world.peer("agent"), world.peer()
    agent.receiver("org.clacks.command.core")
    answers = caller.receiver(None)
    secret = answers.link.remote_source.address
    call = encode(Message(body=b"{}", subject="getNodes", user_id=b"admin"))
    sender = caller.sender("org.clacks.command.core")
    sender.send_unsettled(call, 1)
    world.run()
    back = agent.sender(secret)
    back.send(encode(Message(body=b"{}", user_id=b"agent")))
    world.run()
    told = lines(caplog)
    assert [line[0] for line in told] == ["<", ">", "<", ">"]
    assert "getNodes" in told[0]
    assert "address='$reply.'" in told[2]
    assert secret not in "\n".join(told)


def test_rubbish_is_told_and_refused_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    world = World()
    admin = world.peer()
    admin.sender("org.clacks.event.PhoneStatus").send(b"rubbish")
    world.run()
    assert len(lines(caplog)) == 1
    assert world.broker.metrics.total("messages_dropped") == 1


def test_nobody_who_does_not_read_it_pays_for_it() -> None:
    assert not logging.getLogger(LOGGER).isEnabledFor(logging.DEBUG)
    world = World()
    world.peer("joe").receiver("org.clacks.event")
    (subscription,) = world.broker.topics
    assert isinstance(subscription, Subscription)
    assert type(subscription.sender) is Sender
