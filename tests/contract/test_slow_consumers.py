"""A consumer that is too slow loses events of its own, counted; nobody waits for it. On every broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from clacks.bus import Bus
from tests.contract.brokers import ContractBroker
from tests.contract.table import Cell
from tests.contract.words import CALLS, LIMIT, caller_of, callers, hello, next_event, phone, take, until
from tests.net.relay import Relay


async def publish(bus: Bus, marks: Iterable[object], ballast: str = "") -> None:
    for mark in marks:
        assert await bus.publish(phone(str(mark), f"busy{ballast}"))


async def test_a_reader_that_is_too_slow_keeps_the_newest_and_counts_what_it_lost(
    broker: ContractBroker,
) -> None:
    async with broker.bus() as sender, broker.bus() as receiver, broker.bus() as other:
        slow = await receiver.subscribe(CALLS, queue_events=10)
        beside, elsewhere = await receiver.subscribe(CALLS), await other.subscribe(CALLS)
        await publish(sender, range(200))
        for events in (beside, elsewhere):
            assert callers(await take(events, 200)) == [str(number) for number in range(200)]
        await until(lambda: slow.dropped + slow.waiting == 200)
        assert (slow.dropped, slow.waiting) == (190, 10)
        assert receiver.metrics.value("events_dropped", reason="reader too slow") == 190
        assert callers(await take(slow, 10)) == [str(number) for number in range(190, 200)]
        await hello(sender, slow, beside, elsewhere, mark="on it goes")


async def test_bytes_are_bounded_as_well_as_events(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        slow = await receiver.subscribe(CALLS, queue_bytes=300_000)
        await publish(sender, range(10), ballast="x" * 100_000)
        await until(lambda: slow.dropped + slow.waiting == 10)
        assert slow.waiting == 2
        assert callers(await take(slow, 2)) == ["8", "9"]


async def test_a_consumer_whose_connection_is_stuck_disturbs_nobody(broker: ContractBroker) -> None:
    number = 3000
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus() as brisk,
        broker.bus(port=relay.port) as sluggish,
    ):
        stuck = await sluggish.subscribe(CALLS, queue_events=2 * number, queue_bytes=100_000_000)
        moving = await brisk.subscribe(CALLS, queue_events=2 * number, queue_bytes=100_000_000)
        await hello(sender, stuck, moving, mark="before")
        relay.hold()
        # Ten times what sockets and windows on the way hold.
        await publish(sender, range(number), ballast="x" * 5000)
        async with asyncio.timeout(LIMIT):
            assert callers(await take(moving, number)) == [str(mark) for mark in range(number)]
        await hello(sender, moving, mark="nobody waited")
        assert moving.dropped == 0
        relay.release()
        got = []
        while not got or got[-1] != "nobody waited":
            got.append(caller_of(await next_event(stuck)))
        assert stuck.dropped == 0
        assert stuck.gaps == ()
        numbers = [int(mark) for mark in got[:-1]]
        assert numbers == sorted(set(numbers))
        if broker.counts_drops:
            assert broker.dropped() == number - len(numbers) > 0
        await hello(sender, stuck, moving, mark="on it goes")


async def test_what_the_broker_drops_is_counted_or_not(broker: ContractBroker, cell: Cell) -> None:
    if not broker.counts_drops:
        # It throws away by its own configuration; its own tools tell how many.
        cell("no; its own tools do")
        return
    async with (
        Relay(broker.port) as relay,
        broker.bus() as sender,
        broker.bus() as receiver,
        broker.bus(port=relay.port) as sluggish,
    ):
        await sluggish.subscribe(CALLS)
        moving = await receiver.subscribe(CALLS, queue_events=10_000, queue_bytes=100_000_000)
        relay.hold()
        await publish(sender, range(3000), ballast="x" * 5000)
        await take(moving, 3000)
        assert broker.dropped() > 0
        relay.release()
    cell("yes")


async def test_a_publisher_is_not_slowed_by_subscribers_that_read_nothing(broker: ContractBroker) -> None:
    async with broker.bus() as sender, broker.bus() as receiver:
        asleep = [await receiver.subscribe(CALLS, queue_events=1) for _ in range(20)]
        async with asyncio.timeout(LIMIT):
            await publish(sender, range(500))
            await sender.flush()
            await until(lambda: all(events.dropped == 499 for events in asleep))
        for events in asleep:
            assert callers([await next_event(events)]) == ["499"]
