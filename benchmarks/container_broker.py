"""The yardstick: a minimal topic broker on proton's Container, without rights or checks.

python -m benchmarks.container_broker PORT
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from proton import Delivery, Endpoint
from proton.handlers import Handshaker
from proton.reactor import Container


class TopicBroker:
    """Forwards the bytes of every message to all receivers of its address; drops what has no credit."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.handlers = [Handshaker()]
        self.subscribers: dict[str, list[Any]] = defaultdict(list)

    def on_reactor_init(self, event: Any) -> None:
        event.container.listen(f"127.0.0.1:{self.port}")

    def on_connection_bound(self, event: Any) -> None:
        event.transport.sasl().allowed_mechs("ANONYMOUS")

    def on_link_remote_open(self, event: Any) -> None:
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        if link.is_sender:
            self.subscribers[link.remote_source.address].append(link)
        else:
            link.flow(1000)

    def on_link_remote_close(self, event: Any) -> None:
        for links in self.subscribers.values():
            if event.link in links:
                links.remove(event.link)

    def on_connection_remote_close(self, event: Any) -> None:
        self._forget()

    def on_transport_closed(self, event: Any) -> None:
        self._forget()

    def _forget(self) -> None:
        for address, links in self.subscribers.items():
            self.subscribers[address] = [link for link in links if link.state & Endpoint.REMOTE_ACTIVE]

    def on_delivery(self, event: Any) -> None:
        delivery = event.delivery
        link = event.link
        if not link.is_receiver or not delivery.readable or delivery.partial:
            return
        body = link.recv(delivery.pending)
        link.advance()
        if not delivery.settled:
            delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        if link.credit < 500:
            link.flow(500)
        for subscriber in self._of(link):
            if subscriber.credit > 0:
                subscriber.delivery("")
                subscriber.send(body)
                subscriber.current.settle()

    def _of(self, link: Any) -> Iterator[Any]:
        yield from self.subscribers.get(link.remote_target.address, ())


if __name__ == "__main__":
    broker = TopicBroker(int(sys.argv[1]))
    Container(broker).run()
