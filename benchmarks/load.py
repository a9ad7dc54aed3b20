"""The load: one publisher and K subscribers, each on a connection of its own, in one process of their own.

    python -m benchmarks.load ARGUMENTS_AS_JSON

It runs on the engine without a client library (about 4 us a message), so that the broker under test is what
limits, and keeps at most WINDOW messages on the way: nothing is dropped by brokers that drop, and nothing
piles up in brokers that do not. Prints a line of JSON when all has arrived.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from clacks.amqp.engine import Engine
from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.messages import Message, encode
from clacks.amqp.sasl import SaslClient

BATCH = 50


@dataclass(frozen=True)
class Load:
    """What to do."""

    port: int
    target: str
    source: str
    count: int
    body: str
    subscribers: int = 1
    window: int = 800
    settled: bool = True
    subject: str | None = None
    user_id: str | None = None
    user: str | None = None
    password: str | None = None
    query: str | None = None
    matching: int = 1
    """How many subscribers get each message."""

    def as_argument(self) -> str:
        """Return it for the command line."""
        return json.dumps(asdict(self))


class Connection:
    """A connection over a socket that does not block."""

    def __init__(self, load: Load, selector: selectors.BaseSelector) -> None:
        self.got = 0
        self.settled = 0
        self.ready = False
        self.socket = socket.create_connection(("127.0.0.1", load.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.buffer = bytearray(256 * 1024)
        self.unsent = b""
        allowed = None if load.user else ["ANONYMOUS"]
        sasl = SaslClient(load.user, load.password, tls=False, loopback=True, allowed=allowed)
        self.engine = Engine(self, server=False, container_id="load", sasl=sasl)
        self.engine.connection.open()
        self.session = self.engine.connection.session()
        self.session.open()
        selector.register(self.socket, selectors.EVENT_READ, self)

    def subscribe(self, load: Load) -> None:
        link = self.session.receiver("in")
        link.source.address = load.source
        if load.query:
            from proton import Described, symbol

            name = symbol("apache.org:xquery-filter:string")
            link.source.filter.put_object({symbol("q"): Described(name, load.query)})
        self.engine.receiver(link, 4 * load.window).open()

    def publish_to(self, load: Load) -> Sender:
        link = self.session.sender("out")
        link.target.address = load.target
        sender = self.engine.sender(link)
        link.open()
        return sender

    # -- the engine's head

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        self.got += 1
        if incoming is not None:
            incoming.accept()

    def on_credit(self, sender: Sender) -> None:
        self.ready = True

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        if outcome.name != "accepted":
            raise SystemExit(f"not accepted: {outcome}")
        self.settled += 1

    def on_endpoint(self, event: Any) -> None:
        name = event.type.name
        if name == "PN_LINK_REMOTE_OPEN":
            self.ready = self.ready or event.link.is_receiver
        if name in ("PN_LINK_REMOTE_CLOSE", "PN_CONNECTION_REMOTE_CLOSE", "PN_TRANSPORT_ERROR"):
            raise SystemExit(f"{name}: {getattr(event.link or event.connection, 'remote_condition', None)}")

    # -- bytes

    def read(self) -> None:
        try:
            size = self.socket.recv_into(self.buffer)
        except BlockingIOError:
            return
        if not size:
            raise SystemExit("the broker closed the connection")
        self.engine.receive(memoryview(self.buffer)[:size])

    def write(self) -> None:
        if not self.unsent:
            self.unsent = self.engine.bytes_to_send()
        while self.unsent:
            try:
                sent = self.socket.send(self.unsent)
            except BlockingIOError:
                return
            self.unsent = self.unsent[sent:] or self.engine.bytes_to_send()


def run(load: Load) -> dict[str, float]:
    """Send ``count`` messages and wait until all have arrived."""
    selector = selectors.DefaultSelector()
    readers = [Connection(load, selector) for _ in range(load.subscribers)]
    for reader in readers:
        reader.subscribe(load)
    publisher = Connection(load, selector)
    everybody = [*readers, publisher]

    def turn(wait: float) -> None:
        for connection in everybody:
            connection.write()
        for key, _ in selector.select(wait):
            key.data.read()

    deadline = time.monotonic() + 20
    while not all(reader.ready for reader in readers):
        turn(0.1)
        if time.monotonic() > deadline:
            raise SystemExit("no link in 20 s")
    sender = publisher.publish_to(load)
    while not publisher.ready:
        turn(0.1)
    message = Message(body=load.body.encode(), subject=load.subject)
    message.user_id = load.user_id.encode() if load.user_id else None
    raw = encode(message)
    sent = arrived = 0
    wanted = load.count * load.matching
    start, cpu = time.perf_counter(), time.process_time()
    while arrived < wanted or (not load.settled and publisher.settled < load.count):
        room = min(load.count - sent, load.window - (sent - arrived // load.matching), sender.credit)
        for _ in range(min(room, BATCH)):
            if load.settled:
                sender.send(raw)
            else:
                sender.send_unsettled(raw, sent)
            sent += 1
        turn(0.0 if room > BATCH else 0.5)
        now = sum(reader.got for reader in readers)
        if now == arrived and time.perf_counter() - start > 300:
            raise SystemExit(f"stuck: sent {sent}, arrived {arrived}")
        arrived = now
    return {
        "seconds": time.perf_counter() - start,
        "load_cpu": time.process_time() - cpu,
        "size": len(raw),
    }


if __name__ == "__main__":
    print(json.dumps(run(Load(**json.loads(sys.argv[1])))))
