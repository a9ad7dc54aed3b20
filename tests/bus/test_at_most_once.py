"""Connections break at the worst moments, and no call is carried out twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clacks.bus import Bus, Service
from clacks.common.errors import OutcomeUnknown
from clacks.common.jsonrpc import Request
from tests.bus.house import REGISTRY, House, house, scenario, until
from tests.net.relay import Relay

pytestmark = [pytest.mark.net, pytest.mark.slow]


class Agents:
    """Two agents that count what they carry out."""

    def __init__(self, here: House) -> None:
        self.house = here
        self.done: list[str] = []

    async def serve(self, name: str, port: int | None = None, *, workers: int = 4) -> Service:
        url = (
            self.house.url("agent1")
            if port is None
            else self.house.url("agent1").replace(f":{self.house.port}/", f":{port}/")
        )
        bus = await self.house._stack.enter_async_context(Bus(url, registry=REGISTRY))
        return await bus.serve(self.counted(name), workers=workers)

    def counted(self, name: str) -> Callable[..., Any]:
        async def handler(request: Request, user: str, on_behalf_of: str | None) -> str:
            self.done.append(name)
            return name

        return handler


async def caller_at(here: House, port: int) -> Bus:
    url = here.url().replace(f":{here.port}/", f":{port}/")
    return await here._stack.enter_async_context(Bus(url, registry=REGISTRY))


@scenario
async def test_a_caller_that_lost_word_and_answer_gets_the_answer_again_from_the_same_agent() -> None:
    async with house() as here, Relay(here.port) as relay:
        agents = Agents(here)
        for name in ("one", "two", "three"):
            await agents.serve(name)
        bus = await caller_at(here, relay.port)
        assert await bus.call("warm up") in ("one", "two", "three")
        for round_ in range(3):
            agents.done.clear()
            relay.hold()  # neither "accepted" nor the answer come through
            call = asyncio.ensure_future(bus.call(f"round {round_}"))
            await until(lambda: agents.done)
            relay.cut()
            relay.release()
            assert await call == agents.done[0]
            await asyncio.sleep(0.05)
            assert len(agents.done) == 1, "carried out again"


@scenario
async def test_an_agent_whose_acceptance_was_lost_does_not_begin() -> None:
    async with house() as here, Relay(here.port) as relay:
        agents = Agents(here)
        await agents.serve("far", relay.port)
        bus = await here.bus()
        assert await bus.call("warm up") == "far"
        agents.done.clear()
        await asyncio.sleep(0.1)  # its credit is with the broker again
        relay.mute()  # it gets the call, and what it says is lost
        call = asyncio.ensure_future(bus.call("work", timeout=15.0))
        await asyncio.sleep(0.2)
        await agents.serve("near")
        assert not call.done()
        relay.shut()
        relay.unmute()
        assert await call == "near"
        relay.let_in()
        await asyncio.sleep(0.2)
        assert agents.done == ["near"]


@scenario
async def test_an_agent_that_never_heard_that_it_has_the_call_leaves_it_and_nobody_else_begins_it() -> None:
    async with house() as here, Relay(here.port) as relay:
        agents = Agents(here)
        far = await agents.serve("far", relay.port)
        bus = await here.bus()
        assert await bus.call("warm up") == "far"
        agents.done.clear()
        await asyncio.sleep(0.1)
        # The call comes through; the broker's word that the claim is noted does not.
        seen = relay.down
        call = asyncio.ensure_future(bus.call("work", timeout=2.0))
        while relay.down == seen:
            await asyncio.sleep(0)
        relay.hold()
        if agents.done:  # the word was faster than this test: then it has begun, and answers
            relay.release()
            assert await call == "far"
            return
        await asyncio.sleep(0.1)
        relay.cut()
        relay.release()
        await agents.serve("near")
        try:
            assert await call in ("far", "near")
        except OutcomeUnknown:
            assert agents.done == []
        assert len(agents.done) <= 1
        assert far.running == 0


@scenario
async def test_no_call_is_carried_out_twice_while_all_connections_break_at_random() -> None:
    async with house() as here, Relay(here.port) as callers, Relay(here.port) as agents_relay:
        counted: dict[str, int] = {}

        async def handler(request: Request, user: str, on_behalf_of: str | None) -> int:
            assert isinstance(request.params, tuple)
            counted[request.params[0]] = counted.get(request.params[0], 0) + 1
            return counted[request.params[0]]

        for port in (agents_relay.port, agents_relay.port, None):
            url = (
                here.url("agent1")
                if port is None
                else here.url("agent1").replace(f":{here.port}/", f":{port}/")
            )
            bus = await here._stack.enter_async_context(Bus(url, registry=REGISTRY))
            await bus.serve(handler, queue="twice", workers=4)
        bus = await caller_at(here, callers.port)
        unknown = 0

        async def ask(number: int) -> None:
            nonlocal unknown
            try:
                await bus.call("work", f"n{number}", address="org.clacks.command.twice", timeout=6.0)
            except OutcomeUnknown:
                unknown += 1

        async def havoc() -> None:
            for step in range(12):
                await asyncio.sleep(0.08)
                (callers if step % 2 else agents_relay).cut()

        breaking = asyncio.ensure_future(havoc())
        number = 0
        while not breaking.done():
            await asyncio.gather(*(ask(number + n) for n in range(10)))
            number += 10
        await breaking
        assert number >= 10
        assert max(counted.values()) == 1, {key: n for key, n in counted.items() if n > 1}
        assert len(counted) + unknown >= number
