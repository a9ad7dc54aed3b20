"""What is kept and what is lost when connections break and brokers fail, on every broker."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clacks.bus import Bus, BusState, Subscription
from clacks.common.errors import LinkRefused, OutcomeUnknown
from clacks.common.jsonrpc import Request
from clacks.common.limits import DEFAULT_LIMITS
from tests.contract.brokers import ContractBroker
from tests.contract.words import (
    CALLS,
    LIMIT,
    agent_on,
    caller_of,
    callers,
    hello,
    next_event,
    phone,
    seen_by_broker,
    until,
)
from tests.net.relay import Relay


async def back_again(bus: Bus) -> None:
    """Wait until a bus has noticed a loss and has a connection again."""
    async with asyncio.timeout(LIMIT), contextlib.aclosing(bus.states()) as states:
        async for change in states:
            if change.state is BusState.CONNECTED:
                return


async def test_subscriptions_are_restored_and_the_gap_is_reported(broker: ContractBroker) -> None:
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus(port=relay.port) as receiver,
    ):
        busy = await receiver.subscribe(CALLS + "[f:Status = 'busy']")
        idle = await receiver.subscribe(CALLS + "[f:Status = 'idle']")
        assert await sender.publish(phone("before", "busy"))
        assert await sender.publish(phone("before", "idle"))
        assert callers([await next_event(busy), await next_event(idle)]) == ["before", "before"]
        start = datetime.now(UTC)
        relay.cut()
        await until(lambda: busy.gaps and idle.gaps)
        for status in ("busy", "idle"):
            assert await sender.publish(phone("after", status))
        assert callers([await next_event(busy), await next_event(idle)]) == ["after", "after"]
        assert (busy.waiting, idle.waiting) == (0, 0)
        for events in (busy, idle):
            [gap] = events.gaps
            assert gap.start <= gap.end
            assert gap.end >= start
            assert gap.reason


async def test_what_is_sent_while_the_subscriber_is_away_is_in_the_gap(broker: ContractBroker) -> None:
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus() as witness,
        broker.bus(port=relay.port) as receiver,
    ):
        events, present = await receiver.subscribe(), await witness.subscribe()
        await hello(sender, events, present, mark="before")
        relay.shut()
        await until(lambda: receiver.state is BusState.RECONNECTING)
        assert await sender.publish(phone("missed"))
        seen = datetime.now(UTC)
        assert caller_of(await next_event(present)) == "missed"
        relay.let_in()
        await until(lambda: events.gaps)
        await hello(sender, events, present, mark="after")
        [gap] = events.gaps
        assert gap.start <= seen <= gap.end


async def test_publishing_waits_for_the_connection_to_come_back(broker: ContractBroker) -> None:
    async with (
        Relay(broker.port) as relay,
        broker.bus(port=relay.port) as sender,
        broker.bus() as receiver,
    ):
        events = await receiver.subscribe()
        await hello(sender, events, mark="before")
        relay.shut()
        await until(lambda: sender.state is BusState.RECONNECTING)
        sending = asyncio.create_task(sender.publish(phone("meanwhile")))
        relay.let_in()
        async with asyncio.timeout(LIMIT):
            assert await sending
        assert caller_of(await next_event(events)) == "meanwhile"


async def test_a_call_in_doubt_is_sent_again_and_carried_out_once(broker: ContractBroker) -> None:
    taken: list[str] = []

    async def note(request: Request, user: str, on_behalf_of: str | None) -> str:
        taken.append(request.method)
        return "done"

    async with (
        Relay(broker.port) as relay,
        broker.bus("agent") as agent,
        broker.bus("ann", port=relay.port) as caller,
    ):
        await agent.serve(note)
        assert await caller.call("first") == "done"
        # The agent carries the call out, and neither its word nor its answer gets through to the caller.
        relay.hold()
        call = asyncio.create_task(caller.call("second"))
        await until(lambda: "second" in taken)
        relay.cut()
        relay.release()
        async with asyncio.timeout(LIMIT):
            assert await call == "done"
        assert taken == ["first", "second"]


async def test_a_call_made_without_a_connection_goes_out_when_there_is_one(broker: ContractBroker) -> None:
    async with (
        Relay(broker.port) as relay,
        broker.bus("agent") as agent,
        broker.bus("ann", port=relay.port) as caller,
    ):
        relay.shut()
        await until(lambda: caller.state is BusState.RECONNECTING)
        call = asyncio.create_task(caller.call("where"))
        relay.let_in()
        await agent.serve(lambda *_: "served")
        async with asyncio.timeout(LIMIT):
            assert await call == "served"


async def test_a_call_that_waits_at_the_broker_survives_its_callers_connection(
    broker: ContractBroker,
) -> None:
    taken: list[str] = []

    def note(request: Request, user: str, on_behalf_of: str | None) -> str:
        taken.append(request.method)
        return "served"

    async with (
        Relay(broker.port) as relay,
        broker.bus("agent") as agent,
        broker.bus("ann", port=relay.port) as caller,
    ):
        async with await agent.serve(lambda *_: "warm"):
            assert await caller.call("warm") == "warm"
        call = asyncio.create_task(caller.call("where"))
        await asyncio.sleep(0)
        await seen_by_broker(caller)
        back = asyncio.create_task(back_again(caller))
        await asyncio.sleep(0)
        relay.cut()
        await back
        await agent.serve(note)
        try:
            async with asyncio.timeout(LIMIT):
                assert await call == "served"
        except OutcomeUnknown:
            # Where the broker accepts calls itself some agent may have it: it is not sent twice.
            assert caller.profile is not None
            assert caller.profile.accepts_early
        assert await caller.call("next") == "served"
        assert taken.count("where") <= 1


async def test_a_call_that_was_accepted_fails_when_the_connection_of_its_caller_breaks(
    broker: ContractBroker,
) -> None:
    finish = asyncio.Event()
    taken: list[str] = []

    async def slow(request: Request, user: str, on_behalf_of: str | None) -> str:
        taken.append(request.method)
        await finish.wait()
        return "done"

    async with (
        Relay(broker.port) as relay,
        broker.bus("agent") as agent,
        broker.bus("ann", port=relay.port) as caller,
    ):
        await agent.serve({"slow": slow, "quick": lambda *_: "quick"})
        call = asyncio.create_task(caller.call("slow"))
        await until(lambda: taken)
        # What the broker says comes in its order: with this answer the caller knows that the other was taken.
        assert await caller.call("quick") == "quick"
        relay.cut()
        with pytest.raises(OutcomeUnknown):
            async with asyncio.timeout(LIMIT):
                await call
        finish.set()
        assert await caller.call("quick") == "quick"
        assert taken == ["slow"]


async def test_an_agent_goes_on_serving_and_answers_what_it_was_doing(broker: ContractBroker) -> None:
    finish = asyncio.Event()
    taken: list[str] = []

    async def work(request: Request, user: str, on_behalf_of: str | None) -> str:
        taken.append(request.method)
        if request.method == "slow":
            await finish.wait()
        return f"{request.method} done"

    async with (
        Relay(broker.port) as relay,
        broker.bus("agent", port=relay.port) as agent,
        broker.bus("ann") as caller,
    ):
        await agent.serve(work)
        call = asyncio.create_task(caller.call("slow"))
        await until(lambda: taken)
        assert await caller.call("quick") == "quick done"
        back = asyncio.create_task(back_again(agent))
        await asyncio.sleep(0)
        relay.cut()
        await back
        finish.set()
        async with asyncio.timeout(LIMIT):
            assert await call == "slow done"
        assert await caller.call("again") == "again done"
        assert taken == ["slow", "quick", "again"]


async def test_a_broker_that_falls_silent_counts_as_gone(broker: ContractBroker) -> None:
    limits = replace(DEFAULT_LIMITS, idle_timeout=2.0)
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus(port=relay.port, limits=limits) as receiver,
    ):
        events = await receiver.subscribe()
        await hello(sender, events, mark="before")
        relay.hold()
        await until(lambda: receiver.state is BusState.RECONNECTING)
        relay.release()
        await until(lambda: events.gaps)
        await hello(sender, events, mark="after")
        [gap] = events.gaps
        # It began when the broker was last heard, not when we noticed.
        assert (gap.end - gap.start).total_seconds() >= 1.0


async def heard(events: Subscription, mark: str) -> None:
    """Read up to this call; agents speak of themselves meanwhile."""
    while caller_of(await next_event(events)) != mark:
        pass


async def test_everybody_comes_back_after_a_restart_of_the_broker(
    broker: ContractBroker, rights_file: Path
) -> None:
    async with (
        broker.bus("agent") as bus,
        agent_on(bus, broker, "n1", rights_file),
        broker.bus("ann") as sender,
        broker.bus() as receiver,
    ):
        calls, everything = await receiver.subscribe(CALLS), await receiver.subscribe()
        await hello(sender, calls, mark="before")
        await heard(everything, "before")
        assert await sender.call("where") == "n1"
        await asyncio.to_thread(broker.restart)
        # A broker may take long to be back on a busy machine, and clients ask more and more seldom.
        await until(lambda: calls.gaps and everything.gaps, 3 * LIMIT)
        async with asyncio.timeout(3 * LIMIT):
            assert await sender.call("where") == "n1"
        await hello(sender, calls, mark="after")
        await heard(everything, "after")


async def test_an_outage_in_the_middle_of_a_stream_loses_only_what_is_in_the_gap(
    broker: ContractBroker,
) -> None:
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus(port=relay.port) as receiver,
    ):
        events = await receiver.subscribe(queue_events=10_000)
        for number in range(300):
            assert await sender.publish(phone(str(number)))
            if number == 150:
                await until(lambda: events.waiting >= 100)
                relay.cut()
                await until(lambda: events.gaps)
        got: list[int] = []
        while not got or got[-1] != 299:
            got.append(int(caller_of(await next_event(events))))
        assert got == sorted(set(got)), "in order, none twice"
        assert len(events.gaps) == 1
        # What came before the break and what was sent after the subscription was back is there.
        assert set(range(100)) | set(range(151, 300)) <= set(got)


async def test_a_subscription_at_which_the_connection_breaks_each_time_is_refused(
    broker: ContractBroker,
) -> None:
    """RabbitMQ answers so to who may not read a topic; the bus must not break for ever because of it."""
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus(port=relay.port) as receiver,
    ):
        events = await receiver.subscribe()
        await hello(sender, events, mark="before")
        # The answer to the question does not get through, neither on this connection nor on the next.
        relay.hold()
        asking = asyncio.create_task(receiver.subscribe(kinds=["Doorbell"]))
        await asyncio.sleep(0)
        end = receiver.on_state(lambda change: relay.hold() if change.state is BusState.CONNECTED else None)
        back = asyncio.create_task(back_again(receiver))
        await asyncio.sleep(0)
        relay.cut()
        relay.release()
        await back
        end()
        assert not asking.done()
        relay.cut()
        relay.release()
        with pytest.raises(LinkRefused, match="breaks each time"):
            async with asyncio.timeout(LIMIT):
                await asking
        await until(lambda: events.gaps)
        await hello(sender, events, mark="after")
