"""Send three phone events, asynchronously and without an agent in between.

python examples/async_sender.py [URL]
"""

from __future__ import annotations

import asyncio
import os
import sys

from clacks.bus import Bus
from clacks.common.event import EventMaker

URL = os.environ.get("CLACKS_URL", "amqp://admin:secret@localhost/org.clacks")


async def main(url: str) -> None:
    e = EventMaker()
    async with Bus(url) as bus:
        for status in ("ringing", "busy", "free"):
            event = e.event("PhoneStatus", CallerId="012345", ReceiverId="12343424", Status=status)
            await bus.publish(event)
        await bus.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
