from __future__ import annotations

import threading

import pytest

from clacks.common.components import AMQPEventConsumer, AMQPEventProducer
from clacks.common.event import EventMaker
from tests.common.components.world import World
from tests.common.test_tracing import Spans

pytestmark = [pytest.mark.slow, pytest.mark.net]


def test_a_callback_joins_the_trace_of_the_program_that_sent_the_event(world: World) -> None:
    there, here = Spans(), Spans()
    called = threading.Event()
    event = EventMaker().event("PhoneStatus", CallerId="1", ReceiverId="2", Status="busy")
    with (
        AMQPEventConsumer(world.url(), callback=lambda _: called.set(), tracing=here.tracing) as consumer,
        AMQPEventProducer(world.url(), tracing=there.tracing) as producer,
    ):
        producer.send(event)
        assert called.wait(20)
        consumer.close()
    (publish,) = there.ended
    (callback,) = here.ended
    assert (publish.name, callback.name) == ("publish PhoneStatus", "callback PhoneStatus")
    assert callback.context.trace_id == publish.context.trace_id
