"""Print phone events with nothing but an AMQP 1.0 client: proton's own Container, no Clacks code.

python examples/container_receiver.py [HOST:PORT] [COUNT]
"""

from __future__ import annotations

import sys

from proton import Event, symbol
from proton.handlers import MessagingHandler
from proton.reactor import Container, Filter

QUERY = """
declare namespace f = 'http://www.gonicus.de/Events';
./f:Event/f:PhoneStatus[f:Status = 'busy']
"""


class Receiver(MessagingHandler):
    """Subscribe to all events and let the broker filter them."""

    def __init__(self, server: str, count: int) -> None:
        super().__init__()
        self.server = server
        self.left = count

    def on_start(self, event: Event) -> None:
        connection = event.container.connect(
            f"amqp://{self.server}", user="admin", password="secret", allowed_mechs="PLAIN", reconnect=False
        )
        # The described form {symbol, text} is what the broker reads as XQuery.
        wanted = Filter({symbol("events"): described(QUERY)})
        event.container.create_receiver(connection, "org.clacks.event", options=wanted)

    def on_link_opened(self, event: Event) -> None:
        print("listening", flush=True)

    def on_message(self, event: Event) -> None:
        body = event.message.body
        print(event.message.subject, bytes(body).decode(), flush=True)
        self.left -= 1
        if self.left <= 0:
            event.connection.close()

    def on_link_error(self, event: Event) -> None:
        print(f"refused: {event.link.remote_condition}", file=sys.stderr)
        event.connection.close()

    def on_transport_error(self, event: Event) -> None:
        print(f"no connection: {event.transport.condition}", file=sys.stderr)


def described(query: str) -> object:
    from proton import Described

    return Described(symbol("apache.org:xquery-filter:string"), query)


if __name__ == "__main__":
    server = sys.argv[1] if len(sys.argv) > 1 else "localhost:5672"
    Container(Receiver(server, int(sys.argv[2]) if len(sys.argv) > 2 else 10**9)).run()
