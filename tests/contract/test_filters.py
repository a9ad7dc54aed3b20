"""Who gets which event, on brokers that evaluate XQuery and on those that do not."""

from __future__ import annotations

import pytest

from clacks.common.errors import QuerySyntaxError
from tests.contract.brokers import ContractBroker
from tests.contract.words import (
    CALLS,
    NS,
    callers,
    doorbell,
    hello,
    next_event,
    node_status,
    phone,
    take,
)
from tests.net.relay import Relay

BUSY = f"declare namespace f='{NS}'; ./f:Event/f:PhoneStatus[f:Status = 'busy']"
FLWOR = f"""
declare namespace f='{NS}';
for $call in ./f:Event/f:PhoneStatus
let $caller := number($call/f:CallerId)
where $caller ge 10 and $caller lt 20
return $call
"""
RED = "declare variable $colour external; $colour = 'red'"


async def test_only_events_that_match_arrive(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe(BUSY)
        for number, status in enumerate(("busy", "idle", "ringing", "busy", "idle", "busy")):
            assert await sender.publish(phone(str(number), status))
        assert callers(await take(events, 3)) == ["0", "3", "5"]
        await hello(sender, events, mark="the end")


async def test_subscriptions_of_one_connection_do_not_mix(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        busy, range_, calls, bells, everything = [
            await receiver.subscribe(query)
            for query in (BUSY, FLWOR, CALLS, f"declare namespace f='{NS}'; //f:Doorbell", ".")
        ]
        for event in (
            phone("5", "busy"),
            node_status(),
            phone("15", "idle"),
            doorbell(),
            phone("12", "busy"),
        ):
            assert await sender.publish(event)
        assert callers(await take(busy, 2)) == ["5", "12"]
        assert callers(await take(range_, 2)) == ["15", "12"]
        assert callers(await take(calls, 3)) == ["5", "15", "12"]
        assert (await next_event(bells)).kind == "Doorbell"
        assert sorted(event.kind for event in await take(everything, 5)) == [
            "Doorbell",
            "NodeStatus",
            "PhoneStatus",
            "PhoneStatus",
            "PhoneStatus",
        ]
        assert await sender.publish(phone("11", "busy"))
        for events in (busy, range_, calls, everything):
            assert callers([await next_event(events)]) == ["11"]
        assert bells.waiting == 0


async def test_the_same_query_twice_gives_each_its_copy(broker: ContractBroker) -> None:
    async with broker.bus() as bus:
        one, other = await bus.subscribe(BUSY), await bus.subscribe(BUSY)
        await hello(bus, one, other, mark="for both")
        await one.close()
        await hello(bus, other, mark="for one")


async def test_properties_of_the_message_are_variables_of_the_query(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        red = await receiver.subscribe(RED)
        high = await receiver.subscribe("declare variable $floor external; $floor > 2")
        kind = await receiver.subscribe(
            "declare variable $cloudEvents_type external; $cloudEvents_type = 'Doorbell'"
        )
        assert await sender.publish(phone("none"))
        assert await sender.publish(phone("blue"), properties={"colour": "blue", "floor": 3})
        assert await sender.publish(phone("red"), properties={"colour": "red", "floor": 1})
        assert await sender.publish(phone("last"), properties={"colour": "red", "floor": 7})
        assert await sender.publish(doorbell())
        assert callers(await take(red, 2)) == ["red", "last"]
        assert callers(await take(high, 2)) == ["blue", "last"]
        assert (await next_event(kind)).kind == "Doorbell"
        assert (red.waiting, high.waiting, kind.waiting) == (0, 0, 0)


async def test_the_broker_keeps_away_what_a_query_cannot_match(broker: ContractBroker) -> None:
    """Also one that knows no XQuery: it is asked for the event types of the query alone."""
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus(port=relay.port) as receiver,
    ):
        events = await receiver.subscribe(CALLS)
        before = relay.down
        for number in range(20):
            assert await sender.publish(node_status("x" * 10_000, number))
        await hello(sender, events, mark="the end")
        assert 0 < relay.down - before < 10_000


async def test_a_query_that_names_no_type_still_filters(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        events = await receiver.subscribe("exists(//*[local-name() = 'CallerId'][. = ('7', 'end')])")
        for event in (node_status(), phone("6"), doorbell(), phone("7")):
            assert await sender.publish(event)
        assert callers([await next_event(events)]) == ["7"]
        await hello(sender, events, mark="end")


async def test_an_error_while_a_query_runs_is_no_match_and_disturbs_nobody(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        # CallerId is text: what is no number cannot be cast.
        failing = await receiver.subscribe(
            f"declare namespace f='{NS}'; xs:integer(./f:Event/f:PhoneStatus/f:CallerId) = 5"
        )
        other = await receiver.subscribe()
        for caller in ("4", "five", "5"):
            assert await sender.publish(phone(caller))
        assert callers(await take(other, 3)) == ["4", "five", "5"]
        assert callers([await next_event(failing)]) == ["5"]
        assert failing.waiting == 0


@pytest.mark.parametrize(
    ("query", "code", "line", "column"),
    [
        (f"declare namespace f='{NS}';\n./f:Event[", "XPST0003", 2, 11),
        (f"declare namespace f='{NS}';\n  ./g:Event", "XPST0081", 2, 5),
        ("for $a in //*\nreturn $b", "XPST0008", 2, 8),
    ],
    ids=["a bracket is open", "an unknown prefix", "an unknown variable"],
)
async def test_a_malformed_query_is_refused_with_code_line_and_column(
    broker: ContractBroker, query: str, code: str, line: int, column: int
) -> None:
    async with broker.bus() as bus:
        events = await bus.subscribe(BUSY)
        with pytest.raises(QuerySyntaxError) as caught:
            await bus.subscribe(query)
        assert (caught.value.code, caught.value.line) == (code, line)
        assert caught.value.column == column
        # Nothing is left of it, and the others go on.
        await hello(bus, events, mark="still here")


async def test_a_query_cannot_look_beyond_the_event(broker: ContractBroker) -> None:
    async with broker.bus() as bus:
        nosy = [
            await bus.subscribe(query)
            for query in (
                "doc('file:///etc/passwd')",
                "doc-available('file:///etc/passwd')",
                "unparsed-text-available('file:///etc/passwd')",
                "exists(environment-variable('PATH'))",
                "exists(collection())",
            )
        ]
        other = await bus.subscribe()
        for mark in ("one", "other"):
            await hello(bus, other, mark=mark)
        assert [events.waiting for events in nosy] == [0] * len(nosy)
