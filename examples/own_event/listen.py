"""Tell who stands at the front door: an event type of your own, received.

    clacks up --user admin:secret --events examples/own_event
    python examples/own_event/listen.py [URL]

Ctrl-C ends it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from clacks.common.components import AMQPEventConsumer
from clacks.common.schema import SchemaRegistry

URL = os.environ.get("CLACKS_URL", "amqp://admin:secret@localhost/org.clacks")

# The schema in this folder joins those that come with Clacks. CLACKS_EVENTS does the same for all programs.
registry = SchemaRegistry([Path(__file__).parent])

query = """
declare namespace f = 'http://www.gonicus.de/Events';
for $bell in ./f:Event/f:DoorBell
where $bell/f:Door = 'front' and $bell/f:Rings > 1
return $bell
"""


def ring(data: Any) -> None:
    bell = data.DoorBell
    print(f"{bell.Rings} rings at the {bell.Door} door, {bell.Time}", flush=True)


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else URL
    with AMQPEventConsumer(url, xquery=query, callback=ring, registry=registry) as consumer:
        print("listening", flush=True)
        try:
            consumer.join()
        except KeyboardInterrupt:
            pass
