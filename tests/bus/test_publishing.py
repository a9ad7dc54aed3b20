from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clacks.amqp.connection import Closed, Opened
from clacks.amqp.eventmessage import EventEncoder
from clacks.amqp.messages import decode
from clacks.bus.publishing import Publisher
from clacks.common.errors import ConnectionLost, LinkRefused
from clacks.common.event import Event
from clacks.common.metrics import Metrics
from tests.amqp.brokers import Script
from tests.bus.house import MAKER, REGISTRY, phone, scenario
from tests.bus.test_links import PumpedLine

PHONES = "org.clacks.event.PhoneStatus"


class World(PumpedLine):
    """A publisher and a small broker."""

    def __init__(self, script: Script | None = None) -> None:
        super().__init__(script)
        self.metrics = Metrics()
        self.writes = 0
        encoder = EventEncoder("ann", "urn:clacks:test", "id-")
        self.publisher = Publisher(self, encoder, self.written, self.metrics)

    async def written(self) -> None:
        self.writes += 1
        self.pump()

    def hand_on(self) -> None:
        for event in self.whole.events():
            if not isinstance(event, (Opened, Closed)):
                event.owner.on_link(event)

    async def publish(self, event: Event, **options: Any) -> bool:
        task = asyncio.ensure_future(self.publisher.publish(event, **options))
        while not task.done():
            await asyncio.sleep(0)
            self.pump()
        self.pump()
        return await task


@scenario
async def test_an_event_goes_out_settled_on_the_link_of_its_type() -> None:
    world = World()
    assert await world.publish(phone())
    assert await world.publish(REGISTRY.event(MAKER.event("ClientPoll")))
    assert [(address, incoming) for address, _, incoming in world.broker.got] == [
        (PHONES, None),
        ("org.clacks.event.ClientPoll", None),
    ]
    message = decode(world.broker.got[0][1])
    assert (message.subject, message.user_id, message.body) == ("PhoneStatus", b"ann", phone().xml)
    assert world.metrics.total("events_published") == 2
    assert world.metrics.value("events_published", type="ClientPoll") == 1


@scenario
async def test_rabbitmq_gets_a_topic_for_each_type() -> None:
    world = World(Script("RabbitMQ", "3.10.8", ()))
    await world.publish(phone())
    assert world.broker.got[0][0] == f"/topic/{PHONES}"


@scenario
async def test_the_loop_gets_a_turn_in_a_burst() -> None:
    world = World(Script(credit=100_000))
    event = phone("x" * 1000)
    for _ in range(200):
        await world.publish(event)
    assert 2 <= world.writes <= 5


@scenario
async def test_without_credit_events_are_dropped_and_the_log_is_not_flooded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("clacks.bus.publishing._PATIENCE", 0.02)
    world = World(Script(credit=0))
    for _ in range(3):
        assert not await world.publish(phone())
    monkeypatch.setattr("clacks.bus.publishing._PATIENCE", 10.0)
    assert world.metrics.value("events_dropped", reason="no credit") == 3
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) <= 3
    assert "PhoneStatus" in caplog.text


@scenario
async def test_a_type_that_may_not_be_published_is_an_error_and_others_go_on() -> None:
    world = World(Script(refuse={PHONES: "amqp:unauthorized-access"}))
    with pytest.raises(LinkRefused):
        await world.publish(phone())
    assert await world.publish(REGISTRY.event(MAKER.event("ClientPoll")))


@scenario
async def test_a_link_that_the_broker_closes_is_counted_and_opened_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await world.publish(phone())
    world.broker.engine.close_link(world.broker.receivers[PHONES], "amqp:precondition-failed", "user-id")
    world.pump()
    assert world.metrics.value("links_lost", kind="PhoneStatus") == 1
    assert "user-id" in caplog.text
    assert await world.publish(phone())
    assert len(world.broker.got) == 2


@scenario
async def test_the_oldest_links_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clacks.bus.publishing._MOST_OUTLETS", 2)
    world = World()
    kinds = [
        phone(),
        REGISTRY.event(MAKER.event("ClientPoll")),
        REGISTRY.event(MAKER.event("ClientLeave", Id="c")),
    ]
    for event in (*kinds, *kinds):
        assert await world.publish(event)
    assert len(world.publisher._outlets) == 2
    assert len(world.broker.gone) == 4


@scenario
async def test_closing_fails_who_waits_and_who_comes() -> None:
    world = World(Script(credit=0))
    waiting = asyncio.ensure_future(world.publisher.publish(phone()))
    await asyncio.sleep(0)
    world.publisher.close()
    with pytest.raises(ConnectionLost):
        await waiting
    with pytest.raises(ConnectionLost):
        await world.publisher.publish(phone())
