"""From publish to the subscriber, on every broker."""

from __future__ import annotations

import asyncio

import pytest

from clacks.common.errors import InvalidEvent
from clacks.common.event import EventMaker
from tests.contract.brokers import ContractBroker
from tests.contract.words import (
    CALLS,
    LIMIT,
    caller_of,
    callers,
    doorbell,
    hello,
    next_event,
    node_status,
    phone,
    take,
)


async def test_every_subscriber_gets_a_copy_in_order(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus("ann") as one, broker.bus("ann") as other:
        subscriptions = [await one.subscribe(), await other.subscribe(CALLS), await other.subscribe()]
        numbers = [str(number) for number in range(200)]
        for number in numbers:
            assert await sender.publish(phone(number))
        for events in subscriptions:
            assert callers(await take(events, 200)) == numbers
            assert events.dropped == 0


async def test_an_event_arrives_with_what_its_message_says(broker: ContractBroker) -> None:
    async with broker.bus("ann") as sender, broker.bus() as receiver:
        events = await receiver.subscribe(CALLS)
        assert await sender.publish(phone("012345"), properties={"colour": "red", "floor": 3})
        async with asyncio.timeout(LIMIT):
            received = await anext(events.messages())
    assert received.event.kind == received.subject == "PhoneStatus"
    assert caller_of(received.event) == "012345"
    assert received.user == "ann"
    properties = dict(received.properties)
    assert (properties["colour"], properties["floor"]) == ("red", 3)
    assert properties["cloudEvents_type"] == "PhoneStatus"
    assert properties["cloudEvents_source"] == "urn:clacks:ann"


async def test_an_event_may_be_an_element_bytes_or_text(broker: ContractBroker) -> None:
    made = EventMaker(broker.site.registry).event("PhoneStatus", CallerId="1", ReceiverId="2", Status="é")
    async with broker.bus() as bus:
        events = await bus.subscribe()
        for event in (made, phone("2").encode(), phone("3"), broker.site.registry.receive(phone("4"))):
            assert await bus.publish(event)
        assert callers(await take(events, 4)) == ["1", "2", "3", "4"]


async def test_an_event_that_its_schema_refuses_is_not_sent(broker: ContractBroker) -> None:
    async with broker.bus() as bus:
        events = await bus.subscribe()
        with pytest.raises(InvalidEvent, match="/Event/PhoneStatus"):
            await bus.publish(phone().replace("CallerId", "Caller"))
        await hello(bus, events, mark="the next")


async def test_whoever_subscribes_late_sees_nothing_old(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        early = await receiver.subscribe()
        await hello(sender, early, mark="old")
        async with broker.bus() as latecomer:
            late = await latecomer.subscribe()
            await hello(sender, early, late, mark="new")
            assert late.waiting == 0


async def test_an_event_that_nobody_wants_is_gone(broker: ContractBroker) -> None:
    async with broker.bus() as bus:
        assert await bus.publish(phone("to nobody"))
        await bus.flush()
        events = await bus.subscribe()
        await hello(bus, events, mark="to somebody")


async def test_a_subscription_that_is_closed_gets_no_more(broker: ContractBroker) -> None:
    async with broker.bus() as bus:
        closed, other = await bus.subscribe(), await bus.subscribe()
        await hello(bus, closed, other, mark="first")
        await closed.close()
        await hello(bus, other, mark="second")
        with pytest.raises(StopAsyncIteration):
            await anext(closed)


async def test_an_event_of_a_megabyte_arrives_whole(broker: ContractBroker) -> None:
    big = "äöü" + "x" * 1024 * 1024
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe(CALLS)
        assert await sender.publish(phone(big))
        assert caller_of(await next_event(events)) == big
        await hello(sender, events, mark="small")


async def test_an_event_of_a_type_without_schema_here_is_dropped_and_counted(broker: ContractBroker) -> None:
    async with (
        broker.bus() as sender,
        broker.bus(registry=broker.site.plain) as receiver,
        broker.bus() as informed,
    ):
        events, all_of_them = await receiver.subscribe(), await informed.subscribe()
        assert await sender.publish(doorbell())
        assert (await next_event(all_of_them)).kind == "Doorbell"
        await hello(sender, events, all_of_them, mark="known")
        assert receiver.metrics.value("events_dropped", reason="invalid event") == 1


async def test_an_event_of_a_newer_schema_is_delivered_and_flagged(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus(registry=broker.site.older) as receiver:
        events = await receiver.subscribe()
        assert await sender.publish(doorbell("back", bell="loud"))
        event = await next_event(events)
        assert event.newer == ("/Event/Doorbell/Bell",)
        assert b"loud" in event.xml


async def test_many_types_come_through_one_subscription(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe(kinds=["PhoneStatus", "Doorbell"])
        for event in (node_status(), doorbell(), node_status(), phone("last")):
            assert await sender.publish(event)
        # Different types may travel different ways: their order among each other is not promised.
        assert {event.kind for event in await take(events, 2)} == {"Doorbell", "PhoneStatus"}
        await hello(sender, events, mark="the end")


async def test_more_types_than_links_still_keep_out_the_others(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe(kinds=["PhoneStatus", *(f"Own{number}" for number in range(40))])
        assert await sender.publish(node_status())
        assert await sender.publish(doorbell())
        await hello(sender, events, mark="only this")


async def test_publishers_side_by_side_lose_nothing(broker: ContractBroker) -> None:
    async with broker.bus() as receiver, broker.bus("ann") as one, broker.bus("agent") as other:
        events = await receiver.subscribe()

        async def send(bus: object, letter: str) -> None:
            for number in range(150):
                assert await bus.publish(phone(f"{letter}{number}"))  # type: ignore[attr-defined]

        await asyncio.gather(send(one, "a"), send(other, "b"))
        got = callers(await take(events, 300))
    for letter in "ab":
        assert [name for name in got if name[0] == letter] == [f"{letter}{number}" for number in range(150)]
