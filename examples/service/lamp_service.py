"""A lamp with commands: a node of the bus that serves a queue of its own.

    python examples/service/lamp_service.py [URL]

The login needs the right to serve that queue (admin has it). Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from clacks.agent.command import Command
from clacks.agent.service import Agent
from clacks.bus import Bus
from clacks.common.errors import CommandError
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings

URL = os.environ.get("CLACKS_URL", "amqp://admin:secret@localhost/org.clacks")


class Lamp:
    """One lamp. Commands run in threads, so what they share must bear that."""

    def __init__(self) -> None:
        self.percent = 0

    @Command
    def dim(self, percent: int) -> int:
        """Dim the lamp to so many per cent; return what it was before."""
        if not 0 <= percent <= 100:
            raise CommandError(1, f"the lamp cannot be {percent} per cent bright")
        before, self.percent = self.percent, percent
        return before

    @Command(needs_user=True)
    def look(self, user: str) -> str:
        """Tell how bright the lamp is."""
        return f"{user}, the lamp is at {self.percent} per cent"


async def main(url: str) -> None:
    # Agent brings the first commands (getMethods, sendEvent ...) and the rights of users along.
    settings = Settings.load().changed(queue="lamps", node="lamp-1")
    registry = SchemaRegistry()
    async with Bus(url, registry=registry) as bus:
        agent = Agent(bus, registry, settings, users={"admin": ["admin"]})
        agent.commands.register(Lamp())
        async with agent:
            print("serving", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
    except KeyboardInterrupt:
        pass
