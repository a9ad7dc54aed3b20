"""A broker and its peers in one process, without sockets."""

from __future__ import annotations

from typing import Any

from proton import Described, symbol, ulong

from clacks.amqp.engine import Engine
from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.messages import Message, decode, encode
from clacks.broker.broker import Broker
from clacks.broker.peer import BrokerConnection
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.metrics import Metrics
from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry

__all__ = ["NS", "Peer", "World", "phone_status"]

NS = "http://www.gonicus.de/Events"

RIGHTS = """
[users.admin]
roles = ["admin"]
[users.agent]
roles = ["agent"]
[users.jane]
roles = ["desk"]
[users.joe]
roles = ["reader"]
[users.nobody]
roles = []
[roles.desk]
publish = ["PhoneStatus"]
read = ["PhoneStatus"]
create = ["weather.*"]
announce = ["desk-1"]
"""

_registry = SchemaRegistry(plugins=False)


def phone_status(caller: str = "012345") -> bytes:
    """A valid event."""
    return (
        f'<Event xmlns="{NS}"><PhoneStatus><CallerId>{caller}</CallerId><ReceiverId>99</ReceiverId>'
        "<Status>busy</Status></PhoneStatus></Event>"
    ).encode()


class Peer:
    """A client with proton's engine: keeps what it is sent."""

    def __init__(self, world: World, user: str, container: str | None = None) -> None:
        self.world = world
        self.user = user
        self.connection: BrokerConnection = world.broker.connect(user=user)
        self.got: list[bytes] = []
        self.incoming: list[Incoming | None] = []
        self.outcomes: list[tuple[object, Outcome]] = []
        self.errors: list[tuple[str, str]] = []
        self.closed: tuple[str, str] | None = None
        self.hold = False
        self.writable = True
        self.engine = Engine(self, server=False, container_id=container or user)
        self.engine.connection.open()
        self.session = self.engine.connection.session()
        self.session.open()

    # -- the engine's head

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        self.got.append(body)
        self.incoming.append(incoming)
        if incoming is not None and not self.hold:
            incoming.accept()

    def on_credit(self, sender: Sender) -> None:
        pass

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        self.outcomes.append((context, outcome))

    def on_endpoint(self, event: Any) -> None:
        name = event.type.name
        if name == "PN_LINK_REMOTE_CLOSE":
            condition = event.link.remote_condition
            if condition is not None:
                self.errors.append((condition.name, condition.description))
            link = self.engine.link_of(event.link)
            if link is not None:
                self.engine.close_link(link)
        elif name == "PN_CONNECTION_REMOTE_CLOSE":
            condition = event.connection.remote_condition
            self.closed = (condition.name, condition.description) if condition else ("", "")
            event.connection.close()

    # -- links

    def sender(self, address: str | None, *capabilities: str, name: str | None = None) -> Sender:
        link = self.session.sender(name or f"s{id(object())}-{len(self.errors)}-{self.world.number()}")
        if address is not None:
            link.target.address = address
        else:
            link.target.type = link.target.TARGET
        for capability in capabilities:
            link.target.capabilities.put_symbol(symbol(capability))
        sender = self.engine.sender(link)
        link.open()
        self.engine.touch()
        self.world.run()
        return sender

    def receiver(
        self,
        address: str | None,
        *capabilities: str,
        query: str | None = None,
        filters: object = None,
        window: int = 100,
    ) -> Receiver:
        link = self.session.receiver(f"r{self.world.number()}")
        if address is not None:
            link.source.address = address
        else:
            link.source.dynamic = True
        for capability in capabilities:
            link.source.capabilities.put_symbol(symbol(capability))
        if query is not None:
            filters = {symbol("wanted"): Described(ulong(0x0000_468C_0000_0005), query)}
        if filters is not None:
            link.source.filter.put_object(filters)
        receiver = self.engine.receiver(link, window)
        receiver.open()
        self.world.run()
        return receiver

    def close(self, link: Sender | Receiver) -> None:
        self.engine.close_link(link)
        self.world.run()

    def send(self, sender: Sender, message: Message | bytes, context: object = None) -> None:
        raw = message if isinstance(message, bytes) else encode(message)
        if context is None:
            sender.send(raw)
        else:
            sender.send_unsettled(raw, context)
        self.world.run()

    def event(self, sender: Sender, caller: str = "1", context: object = None, **fields: Any) -> None:
        message = Message(body=phone_status(caller), subject="PhoneStatus", content_type="application/xml")
        for name, value in fields.items():
            setattr(message, name, value)
        self.send(sender, message, context)

    def lose(self) -> None:
        """The socket is gone."""
        self.world.peers.remove(self)
        self.connection.lost(self.world.now)
        self.world.run()

    # -- what came

    @property
    def messages(self) -> list[Message]:
        return [decode(raw) for raw in self.got]

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages]

    @property
    def condition(self) -> str:
        """The error of the one link that was refused."""
        assert len(self.errors) == 1, self.errors
        return self.errors[0][0]


class World:
    """A broker, its peers, and the time."""

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, rights: Rights | None = None, **settings: Any
    ) -> None:
        self.now = 1_800_000_000.0
        self.metrics = Metrics()
        self.broker = Broker(
            _registry, rights or parse_rights(RIGHTS), limits, self.metrics, "org.clacks", **settings
        )
        self.peers: list[Peer] = []
        self._number = 0

    def number(self) -> int:
        self._number += 1
        return self._number

    def peer(self, user: str = "admin") -> Peer:
        peer = Peer(self, user)
        self.peers.append(peer)
        self.run()
        return peer

    def run(self) -> None:
        """Carry bytes until all are quiet."""
        for _ in range(1000):
            moved = False
            for peer in list(self.peers):
                data = peer.engine.bytes_to_send()
                if data:
                    moved = True
                    peer.connection.receive(data, self.now)
                if not peer.writable:
                    continue
                data = peer.connection.bytes_to_send()
                peer.connection.resume(self.now)
                if data:
                    moved = True
                    peer.engine.receive(data)
            if not moved:
                return
        raise AssertionError("the peers never fall silent")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.broker.tick(self.now)
        self.run()

    def dropped(self, reason: str) -> int:
        return self.metrics.value("messages_dropped", reason=reason)
