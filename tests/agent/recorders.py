"""A recorder beside a broker on a free port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from clacks.agent.command import CommandRegistry
from clacks.agent.recording import Recorder
from clacks.bus import Bus
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.rights import parse_rights
from clacks.common.settings_parts import LogSettings
from clacks.store import Store, open_store
from tests.bus.house import REGISTRY, House

__all__ = ["RIGHTS", "Desk", "recording"]

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
commands = ["getEvents"]
"""


class Desk:
    """A recorder with what it needs; ``stop`` and ``start`` as often as a test likes."""

    def __init__(
        self, house: House, path: Path, user: str, limits: Limits, settings: LogSettings, address: str
    ) -> None:
        self._house = house
        self._path = path
        self._user = user
        self._limits = limits
        self._settings = settings
        self._address = address
        self.bus: Bus
        self.store: Store
        self.recorder: Recorder
        self.commands: CommandRegistry

    async def start(self) -> None:
        self.bus = Bus(self._house.url(self._user), registry=REGISTRY)
        await self.bus.start()
        self.store = open_store(
            self._address or self._path / "log.sqlite", sync="normal", recorder=self._user
        )
        try:
            await self.store.start()
            self.commands = CommandRegistry(
                publish=lambda event: None, rights=parse_rights(RIGHTS), registry=REGISTRY, node=self._user
            )
            self.recorder = Recorder(
                self.bus,
                REGISTRY,
                self.store,
                commands=self.commands,
                node=self._user,
                settings=self._settings,
                limits=self._limits,
            )
            await self.recorder.start()
        except BaseException:
            await self.store.close()
            await self.bus.close()
            raise

    async def stop(self) -> None:
        await self.recorder.close()
        await self.store.close()
        await self.bus.close()


@contextlib.asynccontextmanager
async def recording(
    house: House,
    path: Path,
    *,
    user: str = "agent1",
    limits: Limits = DEFAULT_LIMITS,
    address: str = "",
    **settings: Any,
) -> AsyncIterator[Desk]:
    desk = Desk(house, path, user, limits, LogSettings(**settings), address)
    await desk.start()
    try:
        yield desk
    finally:
        await desk.stop()
