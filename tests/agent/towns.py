"""Agents on a real broker, in one process, and a bus to look at them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clacks.agent.command import Command, CommandType
from clacks.agent.service import Agent
from clacks.bus import Bus
from clacks.common.errors import CommandError
from clacks.common.settings import Settings
from tests.bus.house import REGISTRY, House, house

__all__ = ["RIGHTS", "Shop", "Town", "town"]

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
read = ["*"]
publish = ["NodeLeave", "NodeStatus", "NodeAnnounce", "NodeCapabilities", "ClientAnnounce", "ClientLeave"]
announce = ["mine-*"]
commands = ["getMethods", "whoami", "everybody", "shopping"]
"""


class Shop:
    """Commands of one node."""

    def __init__(self, node: str, stock: dict[str, Any] | None = None) -> None:
        self.node = node
        self.stock = stock or {}
        self.calls: list[str] = []

    @Command(needs_user=True, type=CommandType.CUMULATIVE)
    def everybody(self, user: str) -> str:
        """Tell who is asked by whom."""
        if "meet" in self.stock:
            self.stock["meet"].wait(15.0)
        if "hang" in self.stock:
            time.sleep(self.stock["hang"])
        if "fail" in self.stock:
            raise CommandError(-32050, "sold out", {"node": self.node})
        return f"{user}@{self.node}"

    @Command(type=CommandType.FIRSTRESULT)
    def shopping(self, what: str) -> str | None:
        """Tell where there is some of it; null if not here."""
        self.calls.append(what)
        if "hang" in self.stock:
            time.sleep(self.stock["hang"])
        if "fail" in self.stock:
            raise CommandError(-32050, "closed")
        return f"{what}@{self.node}" if what in self.stock else None


class Special:
    """A command that only some nodes have."""

    def __init__(self, node: str) -> None:
        self.node = node

    @Command(needs_user=True)
    def whoami(self, user: str) -> list[str]:
        """Tell who asks, and which node answers."""
        return [user, self.node]


@dataclass
class Town:
    """What runs."""

    house: House
    folder: Path
    agents: dict[str, Agent] = field(default_factory=dict)
    shops: dict[str, Shop] = field(default_factory=dict)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def agent(
        self, name: str, stock: dict[str, Any] | None = None, *, special: bool = False, **settings: Any
    ) -> Agent:
        """Start an agent with a shop."""
        bus = await self._stack.enter_async_context(Bus(self.house.url("agent1"), registry=REGISTRY))
        agent = Agent(bus, REGISTRY, Settings(node=name, rights=self.folder / "rights.toml", **settings))
        self.shops[name] = Shop(name, stock)
        agent.commands.register(self.shops[name])
        if special:
            agent.commands.register(Special(name))
        self.agents[name] = await self._stack.enter_async_context(agent)
        return agent

    async def bus(self, user: str = "admin", **options: Any) -> Bus:
        """Log in."""
        return await self.house.bus(user, **options)


@contextlib.asynccontextmanager
async def town(rights: str = RIGHTS) -> AsyncIterator[Town]:
    """Run a broker; agents come as they are wanted."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rights.toml").write_text(rights)
        async with house(rights=rights) as home:
            this = Town(home, Path(folder))
            try:
                yield this
            finally:
                await this._stack.aclose()
