"""What becomes of a message, by the target of the link that it came over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clacks.amqp.links import Incoming
from clacks.broker.names import Name, Place
from clacks.broker.queues import Queue
from clacks.broker.refusal import INVALID_FIELD, NOT_FOUND, Refused

if TYPE_CHECKING:
    from clacks.broker.broker import Broker

__all__ = ["EventTarget", "OpaqueTarget", "QueueTarget", "RelayTarget"]

_REMEMBERED: Final = 256  # addresses that one relay link has used


class EventTarget:
    """An event address: messages are checked."""

    __slots__ = ("_broker", "_name", "_user")

    def __init__(self, broker: Broker, name: Name, user: str) -> None:
        self._broker = broker
        self._name = name
        self._user = user

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        """Check and pass on one event; raises Refused."""
        self._broker.take_event(self._name, self._user, raw, incoming)


class OpaqueTarget:
    """A topic outside the domain: messages are passed on as they are."""

    __slots__ = ("_broker", "_name", "_user")

    def __init__(self, broker: Broker, name: Name, user: str) -> None:
        self._broker = broker
        self._name = name
        self._user = user

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        """Pass on one message; raises Refused."""
        self._broker.take_opaque(self._name, self._user, raw, incoming)


class QueueTarget:
    """A queue."""

    __slots__ = ("_broker", "_queue", "_user")

    def __init__(self, broker: Broker, queue: Queue, user: str) -> None:
        self._broker = broker
        self._queue = queue
        self._user = user

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        """Put one message into the queue; raises Refused."""
        if self._queue.gone:
            raise Refused(NOT_FOUND, "the reply address does not exist any more", "no such address")
        self._broker.take_queued(self._queue, self._user, raw, incoming)


class RelayTarget:
    """The anonymous relay: every message names its address in ``to``."""

    __slots__ = ("_broker", "_names", "_user")

    def __init__(self, broker: Broker, user: str) -> None:
        self._broker = broker
        self._user = user
        self._names: dict[str, Name] = {}

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        """Pass on one message to the address that it names; raises Refused."""
        broker, user = self._broker, self._user
        envelope = broker.check_envelope(raw, user)
        if not envelope.to:
            raise Refused(INVALID_FIELD, "a message to the relay must say where to: 'to'", "no address")
        name = self._names.get(envelope.to)
        if name is None:
            name = broker.name(envelope.to)
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            self._names[envelope.to] = name
        broker.may_send(name, user)
        if name.place is Place.EVENT:
            broker.take_event(name, user, raw, incoming)
        elif broker.is_queue(name, frozenset()):
            broker.take_queued(broker.use_queue(name), user, raw, incoming, envelope)
        else:
            broker.take_opaque(name, user, raw, incoming, envelope)
