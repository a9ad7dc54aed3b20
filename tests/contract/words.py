"""What the contract tests say over and over: events, queries, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from clacks.agent.command import Command
from clacks.agent.service import Agent
from clacks.bus import Bus, Subscription
from clacks.common.event import Event
from clacks.common.settings import Settings
from tests.contract.brokers import ContractBroker

__all__ = [
    "CALLS",
    "LIMIT",
    "agent_on",
    "caller_of",
    "callers",
    "doorbell",
    "each",
    "hello",
    "next_event",
    "node_status",
    "phone",
    "seen_by_broker",
    "take",
    "until",
]

NS: Final = "http://www.gonicus.de/Events"
CALLS: Final = f"declare namespace f='{NS}';\n./f:Event/f:PhoneStatus"
"""The query of the reference document, nearly: phone calls."""

LIMIT: Final = 20.0
"""Seconds for anything that a test waits for."""


def phone(caller: str = "1", status: str = "busy") -> str:
    return (
        f'<Event xmlns="{NS}"><PhoneStatus><CallerId>{caller}</CallerId><ReceiverId>2</ReceiverId>'
        f"<Status>{status}</Status></PhoneStatus></Event>"
    )


def node_status(name: str = "a", load: float = 0.5) -> str:
    return (
        f'<Event xmlns="{NS}"><NodeStatus><Id>{name}</Id><Load>{load}</Load><Latency>0</Latency>'
        "<Workers>1</Workers></NodeStatus></Event>"
    )


def doorbell(door: str = "front", bell: str | None = None) -> str:
    more = "" if bell is None else f"<Bell>{bell}</Bell>"
    return f'<Event xmlns="{NS}"><Doorbell><Door>{door}</Door>{more}</Doorbell></Event>'


def caller_of(event: Event) -> str:
    return str(event.root.findtext(f"{{{NS}}}PhoneStatus/{{{NS}}}CallerId"))


def callers(events: list[Event]) -> list[str]:
    return [caller_of(event) for event in events]


async def next_event(events: Subscription) -> Event:
    async with asyncio.timeout(LIMIT):
        return await anext(events)


async def take(events: Subscription, number: int) -> list[Event]:
    return [await next_event(events) for _ in range(number)]


async def hello(bus: Bus, *subscriptions: Subscription, mark: str) -> None:
    """Publish a call that all subscriptions let through and see it arrive: what came before it has come."""
    assert await bus.publish(phone(mark))
    for events in subscriptions:
        assert caller_of(await next_event(events)) == mark


async def seen_by_broker(bus: Bus) -> None:
    """Wait until the broker has read what was sent on this connection: it has answered something later."""
    await bus.flush()
    async with asyncio.timeout(LIMIT), await bus.subscribe(kinds=["NodeLeave"]):
        pass


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.005)


async def each(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    async with asyncio.timeout(LIMIT):
        return await asyncio.gather(*work)


class Toys:
    """Commands to play with."""

    def __init__(self, node: str) -> None:
        self._node = node

    @Command
    def add(self, one: int, other: int) -> int:
        """Add two numbers."""
        return one + other

    @Command
    def where(self) -> str:
        """Tell which node carries this out."""
        return self._node


def agent_on(bus: Bus, broker: ContractBroker, node: str, rights: Path) -> Agent:
    """Return an agent with commands to play with, not started yet."""
    agent = Agent(bus, broker.site.registry, Settings(node=node, rights=rights))
    agent.commands.register(Toys(node))
    return agent
