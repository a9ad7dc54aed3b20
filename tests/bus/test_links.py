from __future__ import annotations

import asyncio

import pytest

from clacks.amqp.connection import BusConnection, ConnectionState, Credited, LinkClosed, LinkOpened
from clacks.amqp.messages import Message, encode
from clacks.amqp.profiles import NodeKind
from clacks.bus.links import Outlet, permanent
from clacks.common.errors import LinkRefused
from tests.amqp.brokers import Script, SmallBroker
from tests.amqp.pumping import pump
from tests.bus.house import scenario

ADDRESS = "org.clacks.event.PhoneStatus"


class PumpedLine:
    """A line to a small broker in this process."""

    domain = "org.clacks"
    user = "ann"

    def __init__(self, script: Script | None = None) -> None:
        self.begin(script)

    def begin(self, script: Script | None = None) -> None:
        self.broker = SmallBroker(script)
        self.whole = BusConnection(container_id="test")
        self.whole.open()
        self.pump()

    @property
    def connection(self) -> BusConnection | None:
        return self.whole if self.whole.state is ConnectionState.OPEN else None

    def hurry(self) -> None:
        self.pump()

    def pump(self) -> None:
        pump((self.whole, self.broker.engine))  # type: ignore[arg-type]
        self.hand_on()

    def hand_on(self) -> None:
        for event in self.whole.events():
            if isinstance(event, (LinkOpened, LinkClosed, Credited)):
                event.owner.on_link(event)


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.05


def later() -> float:
    return asyncio.get_running_loop().time() + 10.0


@scenario
async def test_an_outlet_opens_its_link_when_somebody_wants_to_send() -> None:
    line = PumpedLine()
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    assert outlet.sender is None
    waiting = asyncio.ensure_future(outlet.wait(later()))
    await asyncio.sleep(0)
    line.pump()
    assert await waiting
    assert outlet.credit == 100
    assert set(line.broker.receivers) == {ADDRESS}


@scenario
async def test_who_waits_longest_goes_first_and_no_more_go_than_there_is_credit() -> None:
    line = PumpedLine(Script(credit=2))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    order: list[int] = []

    async def send(number: int) -> None:
        assert await outlet.wait(later())
        assert outlet.sender is not None
        order.append(number)
        outlet.sender.send(encode(Message(body=b"x")))

    tasks = [asyncio.ensure_future(send(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert outlet.contended
    pump((line.whole, line.broker.engine))  # type: ignore[arg-type]
    line.hand_on()
    for _ in range(3):
        await asyncio.sleep(0)
    assert order == [0, 1]
    while len(order) < 5:
        line.pump()
        await asyncio.sleep(0)
    assert order == [0, 1, 2, 3, 4]
    await asyncio.gather(*tasks)


@scenario
async def test_waiting_ends_at_its_deadline() -> None:
    line = PumpedLine(Script(credit=0))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    assert not await outlet.wait(soon())
    assert not outlet.contended


@scenario
async def test_a_refusal_reaches_everybody_who_waits_and_is_asked_again_by_the_next() -> None:
    line = PumpedLine(Script(refuse={ADDRESS: "amqp:unauthorized-access"}))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    tasks = [asyncio.ensure_future(outlet.wait(later())) for _ in range(2)]
    await asyncio.sleep(0)
    line.pump()
    for task in tasks:
        with pytest.raises(LinkRefused, match="not here"):
            await task
    line.broker.script.refuse.clear()
    again = asyncio.ensure_future(outlet.wait(later()))
    await asyncio.sleep(0)
    line.pump()
    assert await again


@scenario
async def test_who_waits_over_a_lost_connection_goes_on_over_the_next() -> None:
    line = PumpedLine(Script(credit=0))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    waiting = asyncio.ensure_future(outlet.wait(later()))
    await asyncio.sleep(0)
    line.pump()
    line.whole.lost("gone")
    line.hand_on()
    assert outlet.sender is None
    assert not waiting.done()
    line.begin(Script())
    outlet.restore()
    line.pump()
    assert await waiting


@scenario
async def test_a_link_that_was_taken_away_is_asked_for_again_while_somebody_waits() -> None:
    line = PumpedLine(Script(credit=0))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    waiting = asyncio.ensure_future(outlet.wait(later()))
    await asyncio.sleep(0)
    line.pump()
    line.broker.script.credit = 10
    line.broker.engine.close_link(line.broker.receivers[ADDRESS], "amqp:resource-deleted", "away")
    line.pump()
    line.pump()
    assert await waiting


@scenario
async def test_a_closed_outlet_fails_who_waits() -> None:
    line = PumpedLine(Script(credit=0))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    waiting = asyncio.ensure_future(outlet.wait(later()))
    await asyncio.sleep(0)
    outlet.fail(LinkRefused("x", "over"))
    outlet.close()
    with pytest.raises(LinkRefused, match="over"):
        await waiting
    line.pump()
    assert len(line.broker.gone) == 1


def test_some_refusals_are_final() -> None:
    assert permanent("amqp:unauthorized-access")
    assert not permanent("amqp:resource-limit-exceeded")
    assert not permanent("")


@scenario
async def test_credit_of_one_who_gives_up_goes_to_the_next() -> None:
    line = PumpedLine(Script(credit=1))
    outlet = Outlet(line, ADDRESS, NodeKind.TOPIC)
    first = asyncio.ensure_future(outlet.wait(later()))
    second = asyncio.ensure_future(outlet.wait(later()))
    await asyncio.sleep(0)
    line.pump()  # wakes the first, which has no turn before it is cancelled
    first.cancel()
    assert await second
    assert first.cancelled()
