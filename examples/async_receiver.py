"""Print busy phones, asynchronously: events as an iterator.

    python examples/async_receiver.py [URL]

Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
import os
import sys

from clacks.bus import Bus

URL = os.environ.get("CLACKS_URL", "amqp://admin:secret@localhost/org.clacks")

QUERY = """
declare namespace f = 'http://www.gonicus.de/Events';
./f:Event/f:PhoneStatus[f:Status = 'busy']
"""


async def main(url: str) -> None:
    async with Bus(url) as bus, await bus.subscribe(QUERY) as events:
        print("listening", flush=True)
        async for event in events:
            status = event.to_dict()
            print(f"{status['CallerId']} talks to {status['ReceiverId']}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
    except KeyboardInterrupt:
        pass
