"""A broker on a free port, and buses that use it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clacks.broker.broker import Broker
from clacks.bus import Bus
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.event import EventMaker
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.rights import parse_rights
from clacks.common.schema import Event, SchemaRegistry
from clacks.net.listener import BrokerServer

Test = TypeVar("Test", bound=Callable[..., Coroutine[Any, Any, None]])

REGISTRY = SchemaRegistry()
MAKER = EventMaker(REGISTRY)
LIMIT = 20.0
"""Seconds: generous, never the thing that is tested."""

PHONE = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus"

RIGHTS = """
[users.admin]
roles = ["admin"]
[users.agent1]
roles = ["agent"]
[users.agent2]
roles = ["agent"]
[users.reader]
roles = ["reads"]
[roles.reads]
read = ["PhoneStatus"]
"""


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(LIMIT):
                await test(*args, **kwargs)

        asyncio.run(limited())

    return run


def phone(caller: str = "012345", status: str = "busy") -> Event:
    return REGISTRY.event(MAKER.event("PhoneStatus", CallerId=caller, ReceiverId="12343424", Status=status))


def caller_of(event: Event) -> str:
    return str(event.to_dict()["CallerId"])


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.005)


@functools.cache
def _credentials() -> Credentials:
    users: dict[str, Any] = {}
    for name in ("admin", "agent1", "agent2", "reader"):
        users.update(make_credentials(name, "secret").users)
    return Credentials(users)


@dataclass
class House:
    limits: Limits = DEFAULT_LIMITS
    rights: str = RIGHTS
    server: BrokerServer | None = None
    port: int = 0
    users: dict[str, Any] = field(default_factory=lambda: dict(_credentials().users))
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def broker(self) -> Broker:
        assert self.server is not None
        return self.server.broker

    async def start(self) -> None:
        broker = Broker(REGISTRY, parse_rights(self.rights), self.limits)
        self.server = BrokerServer(broker, self.credentials, host="127.0.0.1", port=self.port)
        await self.server.start()
        self.port = self.server.ports["amqp"]

    def credentials(self) -> Credentials:
        return Credentials(self.users)

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.close()
            self.server = None

    def cut(self) -> None:
        """Break all connections, without a word."""
        assert self.server is not None
        for link in list(self.server._sockets):
            link.abort()

    def url(self, user: str = "admin", password: str = "secret") -> str:
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/org.clacks"

    async def bus(self, user: str = "admin", **options: Any) -> Bus:
        options.setdefault("registry", REGISTRY)
        return await self._stack.enter_async_context(Bus(self.url(user), **options))


@contextlib.asynccontextmanager
async def house(**options: Any) -> AsyncIterator[House]:
    this = House(**options)
    await this.start()
    try:
        yield this
    finally:
        await this._stack.aclose()
        await this.stop()
