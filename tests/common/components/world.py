"""A broker on real sockets, on a thread of its own, and if asked for an agent beside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from clacks.agent.command import Command
from clacks.agent.service import Agent
from clacks.broker.broker import Broker
from clacks.bus import Bus
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.rights import parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings
from clacks.net.listener import BrokerServer

__all__ = ["RIGHTS", "World", "clacks_threads", "wait_for"]

Result = TypeVar("Result")

RIGHTS = """
[users.admin]
roles = ["admin"]
[users.reader]
roles = ["reader"]
[users.agent]
roles = ["agent"]
"""


def wait_for(condition: Callable[[], bool], limit: float = 15.0) -> None:
    """Wait until a condition is true; fail if that takes too long."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.005)


def clacks_threads() -> set[str]:
    """Return the names of the threads that the blocking classes have running."""
    names = ("clacks-loop", "clacks-consumer")  # an agent has threads, too
    return {thread.name for thread in threading.enumerate() if thread.name in names}


class Toys:
    """Commands to play with."""

    def __init__(self, node: str) -> None:
        self.node = node

    @Command
    def whoami(self) -> str:
        """Tell which node this is."""
        return self.node

    @Command
    def add(self, one: int, other: int) -> int:
        """Add two numbers."""
        return one + other

    @Command
    def wait(self, seconds: float) -> None:
        """Take some time."""
        time.sleep(seconds)

    @Command(name="lamp.twice")
    def twice(self, text: str) -> str:
        """Say it twice."""
        return text + text


class World:
    """A broker with the users admin (secret), reader and agent (their names are their passwords)."""

    def __init__(self, folder: Path, *, events: Path | None = None, limits: Limits = DEFAULT_LIMITS) -> None:
        self.folder = folder
        self.rights = folder / "rights.toml"
        self.rights.write_text(RIGHTS)
        self.registry = SchemaRegistry([events] if events else [], plugins=False)
        self.broker = Broker(self.registry, parse_rights(RIGHTS), limits)
        users = Credentials()
        for name, password in (("admin", "secret"), ("reader", "reader"), ("agent", "agent")):
            users = users.joined(make_credentials(name, password))
        self._credentials = users
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="world", daemon=True)
        self._server: BrokerServer | None = None
        self._agents: list[tuple[Bus, Agent]] = []
        self.port = 0

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the loop of the broker."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def start(self) -> None:
        """Start the broker, on the port that it had before."""

        async def start() -> BrokerServer:
            server = BrokerServer(self.broker, lambda: self._credentials, host="127.0.0.1", port=self.port)
            await server.start()
            return server

        self._server = self.run(start())
        self.port = self._server.ports["amqp"]

    def stop(self) -> None:
        """Stop the broker."""
        server, self._server = self._server, None
        if server is not None:
            self.run(server.close())

    def agent(self, name: str = "node-1", **settings: Any) -> Agent:
        """Start an agent with commands to play with."""

        async def start() -> tuple[Bus, Agent]:
            bus = Bus(self.url("agent"), registry=self.registry)
            await bus.start()
            agent = Agent(bus, self.registry, Settings(node=name, rights=self.rights, **settings))
            agent.commands.register(Toys(name))
            agent.on_rights = self.broker.set_rights
            agent.on_schemas = lambda: self.broker.set_registry(self.registry)
            await agent.start()
            return bus, agent

        self._agents.append(self.run(start()))
        return self._agents[-1][1]

    def url(self, user: str = "admin", password: str | None = None) -> str:
        """Return the URL of the bus."""
        password = password or ("secret" if user == "admin" else user)
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/org.clacks"

    def connections(self) -> int:
        """Return how many connections the broker has."""
        return len(self.broker.connections)

    def dropped(self) -> int:
        """Return how many messages the broker dropped."""
        return self.broker.metrics.total("messages_dropped")

    def __enter__(self) -> World:
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bus, agent in self._agents:
            self.run(agent.close())
            self.run(bus.close())
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
