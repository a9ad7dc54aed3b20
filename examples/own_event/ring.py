"""Ring at two doors: an event type of your own, sent.

clacks up --user admin:secret --events examples/own_event
python examples/own_event/ring.py [URL]
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from clacks.common.components import AMQPEventProducer
from clacks.common.errors import InvalidEvent
from clacks.common.event import EventMaker
from clacks.common.schema import SchemaRegistry

URL = os.environ.get("CLACKS_URL", "amqp://admin:secret@localhost/org.clacks")

registry = SchemaRegistry([Path(__file__).parent])
e = EventMaker(registry)

if __name__ == "__main__":
    with AMQPEventProducer(sys.argv[1] if len(sys.argv) > 1 else URL, registry=registry) as producer:
        now = datetime.now(UTC)
        producer.send(e.event("DoorBell", Door="back", Rings=3, Time=now))
        producer.send(e.event("DoorBell", Door="front", Rings=2, Time=now))
        try:
            producer.send(e.event("DoorBell", Door="front", Rings=0, Time=now))
        except InvalidEvent as error:
            print(error)
