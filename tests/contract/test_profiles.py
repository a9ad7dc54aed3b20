"""What the profiles claim of each broker, held against the broker."""

from __future__ import annotations

import asyncio

import pytest

from clacks.amqp.connection import ConnectionEvent, LinkClosed, LinkOpened, MessageReceived, ReceiveFrom
from clacks.amqp.messages import decode
from clacks.amqp.profiles import FilterTrust, NodeKind, choose_profile
from clacks.amqp.termini import SELECTOR_FILTER, Filter
from clacks.bus.subscribing import Subscriber, Tap
from clacks.common.address import event_address
from tests.contract.brokers import ContractBroker, Selectors
from tests.contract.table import Cell
from tests.contract.words import CALLS, LIMIT, NS, callers, hello, next_event, phone, until


async def test_the_broker_is_known_by_what_it_says_of_itself(broker: ContractBroker, cell: Cell) -> None:
    async with broker.bus() as bus:
        assert bus.connection is not None
        assert bus.connection.profile is not None
        assert bus.connection.profile.name == broker.facts.profile
        assert choose_profile(bus.connection.peer) is bus.connection.profile
        cell(bus.connection.peer.title.replace("apache-activemq-artemis", "Artemis"))


async def test_answers_come_where_the_profile_says(broker: ContractBroker, cell: Cell) -> None:
    seen: list[str] = []

    class Ears:
        def on_link(self, event: ConnectionEvent) -> None:
            if isinstance(event, LinkOpened):
                seen.append(event.address or "")

    async with broker.bus("ann") as bus:
        assert bus.profile is not None
        assert bus.connection is not None
        if not bus.profile.dynamic:
            # Nothing to ask it for: it would end the session. That calls are answered others test.
            cell("named by the caller")
            return
        bus.connection.open_receiver(ReceiveFrom(None, 1), Ears())
        bus.hurry()
        await until(lambda: seen)
        assert seen[0]
        cell("made by the broker")


async def test_a_selector_is_applied_or_the_profile_does_not_count_on_it(
    broker: ContractBroker, cell: Cell
) -> None:
    """RabbitMQ repeats it in its answer and does not apply it; so nothing is believed that is not tested."""
    got: list[object] = []
    opened: list[LinkOpened | LinkClosed] = []

    class Ears:
        def on_link(self, event: ConnectionEvent) -> None:
            if isinstance(event, LinkOpened | LinkClosed):
                opened.append(event)
            elif isinstance(event, MessageReceived):
                got.append(decode(event.body).properties.get("floor"))

    async with broker.bus() as sender, broker.bus() as receiver:
        profile, connection = receiver.profile, receiver.connection
        assert profile is not None
        assert connection is not None
        address = profile.source(event_address(broker.domain, "PhoneStatus"), NodeKind.TOPIC, broker.domain)
        selector = Filter("selector", SELECTOR_FILTER, "floor > 2")
        asked = ReceiveFrom(address, 100, (selector,), profile.capabilities(NodeKind.TOPIC))
        connection.open_receiver(asked, Ears())
        receiver.hurry()
        await until(lambda: opened)
        answer = opened[0]
        if broker.facts.selectors is Selectors.REFUSED:
            assert isinstance(answer, LinkClosed)
            assert answer.condition == "amqp:not-implemented"
            cell("refused")
            return
        assert isinstance(answer, LinkOpened)
        witness = await receiver.subscribe(CALLS)
        for floor in (1, 3, 2, 7):
            assert await sender.publish(phone(str(floor)), properties={"floor": floor})
            async with asyncio.timeout(LIMIT):
                await next_event(witness)
        wanted = [3, 7] if broker.facts.selectors is Selectors.APPLIED else [1, 3, 2, 7]
        await until(lambda: len(got) >= len(wanted))
        await hello(sender, witness, mark="the end")
        assert [floor for floor in got if floor is not None] == wanted
        echoed = any(part.descriptor == SELECTOR_FILTER for part in answer.applied)
        words = broker.facts.selectors.value
        cell(f"{words}, though confirmed" if echoed and wanted != [3, 7] else words)


async def test_conditions_on_properties_are_judged_where_the_profile_says(
    broker: ContractBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that speaks of properties: what it refuses does not even come where a selector is applied."""
    came: list[object] = []
    received = Subscriber.received

    def noted(self: Subscriber, tap: Tap, body: bytes) -> None:
        if tap.kind is None or tap.kind == "PhoneStatus":
            came.append(decode(body).properties.get("floor"))
        received(self, tap, body)

    query = "declare variable $floor external; $floor = ('third', 'the end') and ./f:Event/f:PhoneStatus"
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe(f"declare namespace f='{NS}'; {query}")
        assert receiver.profile is not None
        monkeypatch.setattr(Subscriber, "received", noted)
        for number, floor in enumerate(("first", "third", "second", "the end")):
            assert await sender.publish(phone(str(number)), properties={"floor": floor})
        assert callers([await next_event(events), await next_event(events)]) == ["1", "3"]
        by_broker = receiver.profile.selectors or receiver.profile.xquery is FilterTrust.ECHO
        assert by_broker is (broker.facts.selectors is not Selectors.IGNORED)
        assert came == (["third", "the end"] if by_broker else ["first", "third", "second", "the end"])


async def test_the_broker_does_what_the_profile_says_of_queries(broker: ContractBroker, cell: Cell) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe(CALLS + "[f:Status = 'busy']")
        assert await sender.publish(phone("idle", "idle"))
        await hello(sender, events, mark="busy")
        assert receiver.profile is not None
        cell("by the broker" if receiver.profile.xquery is FilterTrust.ECHO else "by the receiver")
