"""One connection of the broker: what a peer attaches, sends and is sent.

The driver calls `receive`, `bytes_to_send`, `resume`, `tick` and at the end `lost`. The engine calls the
``on_...`` methods from inside `receive`. Sending never goes past ``room``: what a peer does not take
stays in the bounded queues of its own links.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clacks.amqp.engine import Engine
from clacks.amqp.links import Incoming, Outcome, Receiver, Sender
from clacks.amqp.sasl import SaslServer
from clacks.amqp.termini import (
    XQUERY_FILTER,
    Asked,
    Filter,
    answer_source,
    answer_target,
    open_properties,
    read_open,
    read_source,
    read_target,
    refuse_termini,
)
from clacks.broker.names import Name, Place
from clacks.broker.queues import Consumer
from clacks.broker.refusal import INVALID_FIELD, LIMIT, NOT_IMPLEMENTED, Refused
from clacks.broker.targets import EventTarget, OpaqueTarget, QueueTarget, RelayTarget
from clacks.broker.telling import Target, told_sender, told_target
from clacks.broker.topics import Pumped, Subscription
from clacks.common.errors import ProtocolError, QueryError

if TYPE_CHECKING:
    from clacks.broker.broker import Broker  # which makes its connections
    from clacks.xquery.query import Query

__all__ = ["BrokerConnection"]

_ROOM: Final = 512 * 1024
"""Bytes handed to proton between two flushes: enough for a thousand events, little for a stuck peer."""

_MOST_REFUSED: Final = 1024
"""Links that a peer attached, was refused, and has not detached: proton remembers each of them."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What a link uses, and how to give it up."""

    name: Name | None
    reads: bool
    release: Callable[[], None]


class _Gone:
    """What is behind the links of a connection that we have closed."""

    def take(self, raw: bytes, incoming: Incoming | None) -> None:
        raise Refused("amqp:connection:forced", "the connection is closed", "connection closed")

    def credited(self, now: float) -> None:
        pass

    def outcome(self, context: object, outcome: Outcome, now: float) -> None:
        pass


_GONE: Final = _Gone()


class BrokerConnection:
    """The broker's head of one connection. Made by `Broker.connect`.

    Attributes:
        user: The login; empty until it is known.
        opened: Whether the peer has opened its connection.
        ended: Why it is over, or empty while it is not.
        room: Bytes that may still be handed to the engine.
        closing: Whether we have said that it is over.
    """

    def __init__(self, broker: Broker, number: int, *, user: str | None, sasl: SaslServer | None) -> None:
        self.broker = broker
        self.number = number
        self.user = user or ""
        self.opened = False
        self.ended = ""
        self.closing = False
        self.room = _ROOM
        self._container = ""
        self._sasl = sasl
        self._blocked: dict[Pumped, None] = {}
        self._held: dict[Receiver | Sender, _Held] = {}
        self._dynamic = 0
        self._refused = 0
        self.engine = Engine(
            self, server=True, container_id=broker.container_id, sasl=sasl, limits=broker.limits
        )
        self._rare: dict[str, Callable[[Any], None]] = {
            "PN_CONNECTION_REMOTE_OPEN": self._connection_opened,
            "PN_CONNECTION_REMOTE_CLOSE": self._connection_closed,
            "PN_SESSION_REMOTE_OPEN": lambda event: event.session.open(),
            "PN_SESSION_REMOTE_CLOSE": self._session_closed,
            "PN_LINK_REMOTE_OPEN": self._link_opened,
            "PN_LINK_REMOTE_CLOSE": self._link_closed,
            "PN_LINK_REMOTE_DETACH": self._link_closed,
            "PN_TRANSPORT_ERROR": self._transport_failed,
            "PN_TRANSPORT_CLOSED": lambda event: self._end("closed"),
        }

    @property
    def who(self) -> tuple[str, str]:
        """Login and container id: the same again when the peer reconnects."""
        return self.user, self._container

    # -- for the driver

    def receive(self, data: bytes | memoryview, now: float) -> None:
        """Digest bytes of the peer; ``now`` is in seconds since 1970.

        Raises:
            LoginRefused, ProtocolError: By the login. Write `bytes_to_send`, then close.
        """
        self.broker.now = now
        self.engine.receive(data)

    def eof(self) -> None:
        """Note that the peer will send nothing more."""
        self.engine.eof()

    def bytes_to_send(self) -> bytes:
        """Return and forget what is to be written now."""
        return self.engine.bytes_to_send()

    def resume(self, now: float) -> None:
        """Note that the socket takes more: send what waited for it."""
        engine = self.engine
        self.room = _ROOM - engine.backlog if engine.sasl is None else _ROOM
        if self._blocked and self.room > 0:
            links, self._blocked = self._blocked, {}
            starved: dict[Pumped, None] = {}
            for link in links:
                if self.room > 0:
                    link.pump(now)
                else:
                    starved[link] = None
            self._blocked = {**starved, **self._blocked}

    def tick(self, clock: float) -> float | None:
        """Beat, or find the peer silent; return when to be called again. ``clock`` never goes back."""
        return self.engine.tick(clock)

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written."""
        return self.engine.finished

    def close(self, condition: str, description: str) -> None:
        """End the connection with an AMQP error; nothing that the peer still sends counts.

        The driver closes the socket if the peer does not answer soon: see `closing`.
        """
        self.closing = True
        self._give_up_waiting()
        for link in self._held:
            link.context = _GONE
        self._release_all()
        self.engine.close(condition, description)

    def lost(self, now: float) -> None:
        """Note that the socket is gone; whatever the links used goes to others. The object is done."""
        self.broker.now = now
        self._end("lost")
        self._give_up_waiting()
        self._release_all()
        self.broker.closed(self)
        self.engine.free()

    def block(self, link: Pumped) -> None:
        """Call the link's ``pump`` when there is room again."""
        self._blocked[link] = None

    def rights_changed(self) -> None:
        """Close the links that the rights of now do not allow."""
        for link, held in list(self._held.items()):
            if held.name is None:
                continue
            try:
                if held.reads:
                    self.broker.may_receive(held.name, self.user, self)
                else:
                    self.broker.may_send(held.name, self.user)
            except Refused as refused:
                self._close_link(link, refused)

    # -- the engine's head

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        """Take one message."""
        self.broker.received.value += 1
        try:
            receiver.context.take(body, incoming)  # type: ignore[attr-defined]
        except Refused as refused:
            self.broker.drop(refused.reason, self.user, refused.description)
            if incoming is not None:
                incoming.reject(refused.condition, refused.description)

    def on_credit(self, sender: Sender) -> None:
        """Take note of credit."""
        sender.context.credited(self.broker.now)  # type: ignore[attr-defined]

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        """Take a consumer's word on a message."""
        sender.context.outcome(context, outcome, self.broker.now)  # type: ignore[attr-defined]

    def on_endpoint(self, event: Any) -> None:
        """Take a rarer event."""
        act = self._rare.get(event.type.name)
        if act is not None:
            act(event)

    # -- connection and session

    def _connection_opened(self, event: Any) -> None:
        connection = event.connection
        if self._sasl is not None:
            self.user = self._sasl.user or ""
        open_properties(connection, self.broker.domain)
        connection.open()
        try:
            _, _, self._container = read_open(connection)
            self.broker.opened(self)
        except ProtocolError as error:
            self.close("amqp:decode-error", str(error))
            return
        except Refused as refused:
            self.broker.metrics.count("connections_refused")
            self.close(refused.condition, refused.description)
            return
        self.opened = True

    def _connection_closed(self, event: Any) -> None:
        if self.engine.peer_gave_reason:
            self._give_up_waiting()  # it hung up on us, because it heard nothing, say: no good-bye
        self._release_all()
        event.connection.close()
        self._end("closed by the peer")

    def _transport_failed(self, event: Any) -> None:
        name, words = self.engine.failure
        self._end(f"{name}: {words}" if name else "failed")

    def _end(self, reason: str) -> None:
        if not self.ended:
            self.ended = reason

    def _session_closed(self, event: Any) -> None:
        session = event.session
        for link in [link for link in self._held if link.link.session == session]:
            self._release(link)
            self.engine.drop(link)
        session.close()
        session.free()

    # -- links

    def _link_opened(self, event: Any) -> None:
        if self.closing:
            return
        link = event.link
        self._release_failed()
        try:
            if self.engine.links >= self.broker.limits.links:
                raise Refused(LIMIT, f"at most {self.broker.limits.links} links", "too many links")
            if link.is_receiver:
                self._attach_target(link)
            else:
                self._attach_source(link)
        except ProtocolError as error:
            self._refuse(link, Refused(INVALID_FIELD, str(error)))
        except Refused as refused:
            self._refuse(link, refused)

    def _refuse(self, link: Any, refused: Refused) -> None:
        self.broker.refuse(refused, self.user)
        refuse_termini(link)
        link.open()
        half = self.engine.receiver(link, 0) if link.is_receiver else self.engine.sender(link)
        self.engine.close_link(half, refused.condition, refused.description)
        self._refused += 1
        if self._refused > _MOST_REFUSED:
            self.close(LIMIT, "too many refused links were never detached")

    def _link_closed(self, event: Any) -> None:
        proton_link = event.link
        link = self.engine.link_of(proton_link)
        if link is None:
            self._refused = max(0, self._refused - 1)
            self._release_failed()
            return
        self._release(link)
        self.engine.close_link(link)

    def _close_link(self, link: Receiver | Sender, refused: Refused) -> None:
        self._release(link)
        self.engine.close_link(link, refused.condition, refused.description)

    def _release(self, link: Receiver | Sender) -> None:
        held = self._held.pop(link, None)
        if held is not None:
            held.release()

    def _release_all(self) -> None:
        for link in list(self._held):
            self._release(link)
        self._blocked.clear()

    def _give_up_waiting(self) -> None:
        """Count what waits for a consumer that did not say good-bye: it wanted that."""
        for link in self._held:
            reader = link.context
            if isinstance(reader, Subscription) and reader.waiting.items:
                self.broker.drop("consumer gone", self.user, reader.address, len(reader.waiting.items))

    def _release_failed(self) -> None:
        """Give up what those links used that the engine had to close."""
        for link in [link for link in self._held if not link.alive]:
            self._release(link)

    # -- targets: the peer sends

    def _attach_target(self, link: Any) -> None:
        asked = read_target(link)
        broker = self.broker
        if asked.coordinator:
            raise Refused(NOT_IMPLEMENTED, "there are no transactions")
        if asked.dynamic:
            raise Refused(NOT_IMPLEMENTED, "a dynamic node is made by a receiver")
        if not asked.address:
            relay = RelayTarget(broker, self.user)
            self._hold_target(link, None, relay, None, lambda: None)
            return
        name = broker.name(asked.address)
        broker.may_send(name, self.user)
        if name.place is Place.EVENT:
            target = EventTarget(broker, name, self.user)
            self._hold_target(link, name, target, asked.address, lambda: None, "topic")
        elif broker.is_queue(name, asked.capabilities):
            queue = broker.use_queue(name)
            queue.senders += 1

            def leave_queue() -> None:
                queue.senders -= 1

            queued = QueueTarget(broker, queue, self.user)
            self._hold_target(link, name, queued, asked.address, leave_queue, "queue")
        else:
            broker.use_topic(name.address)
            opaque = OpaqueTarget(broker, name, self.user)
            self._hold_target(
                link, name, opaque, asked.address, lambda: broker.leave_topic(name.address), "topic"
            )

    def _hold_target(
        self,
        link: Any,
        name: Name | None,
        target: Target,
        address: str | None,
        release: Callable[[], None],
        *capabilities: str,
    ) -> None:
        answer_target(link, address, capabilities)
        told = told_target(target, self.user, address)
        receiver = self.engine.receiver(link, self.broker.limits.credit, told)
        self._held[receiver] = _Held(name, False, release)
        receiver.open()

    # -- sources: the peer reads

    def _attach_source(self, link: Any) -> None:
        asked = read_source(link)
        broker = self.broker
        query = self._filter(asked)
        if asked.dynamic:
            self._attach_dynamic(link, query)
            return
        if not asked.address:
            raise Refused(INVALID_FIELD, "a source needs an address")
        name = broker.name(asked.address)
        broker.may_receive(name, self.user, self)
        if name.place is not Place.EVENT and broker.is_queue(name, asked.capabilities):
            self._attach_queue(link, name, asked, query)
        else:
            self._attach_topic(link, name, asked, query)

    def _attach_topic(self, link: Any, name: Name, asked: Asked, query: Query | None) -> None:
        broker = self.broker
        assert asked.address is not None
        opaque = name.place is Place.OTHER and not name.pattern
        if opaque:
            broker.use_topic(name.address)
        answer_source(link, asked.address, ("topic",), asked.filters, settled=True)
        sender = self.engine.sender(link)
        told = told_sender(sender, self.user, asked.address)
        subscription = Subscription(told, self, asked.address, query, broker.waiting(), broker)
        sender.context = subscription

        def release() -> None:
            broker.topics.unsubscribe(subscription)
            subscription.close()
            self._blocked.pop(subscription, None)
            if opaque:
                broker.leave_topic(name.address)

        self._held[sender] = _Held(name, True, release)
        broker.subscribe(subscription)
        link.open()
        self.engine.touch()

    def _attach_queue(self, link: Any, name: Name, asked: Asked, query: Query | None) -> None:
        if query is not None:
            raise Refused(NOT_IMPLEMENTED, "a queue has no filters: each message goes to one consumer")
        if asked.copy:
            raise Refused(NOT_IMPLEMENTED, "a queue cannot be browsed")
        assert asked.address is not None
        queue = self.broker.use_queue(name)
        self._consume(link, name, asked.address, queue, lambda: None)

    def _attach_dynamic(self, link: Any, query: Query | None) -> None:
        if query is not None:
            raise Refused(NOT_IMPLEMENTED, "a dynamic node has no filters")
        if self._dynamic >= self.broker.limits.dynamic_nodes:
            raise Refused(LIMIT, f"at most {self.broker.limits.dynamic_nodes} dynamic nodes")
        queue = self.broker.make_dynamic(self)
        self._dynamic += 1

        def release() -> None:
            self._dynamic -= 1
            self.broker.remove_dynamic(queue)

        self._consume(link, None, queue.address, queue, release)

    def _consume(
        self, link: Any, name: Name | None, address: str, queue: Any, release: Callable[[], None]
    ) -> None:
        settled = answer_source(link, address, ("queue",))
        sender = self.engine.sender(link)
        consumer = Consumer(told_sender(sender, self.user, address), self, queue, settled=settled)
        sender.context = consumer

        def leave() -> None:
            consumer.close(self.broker.now)
            self._blocked.pop(consumer, None)
            release()

        self._held[sender] = _Held(name, True, leave)
        queue.join(consumer)
        link.open()
        self.engine.touch()

    def _filter(self, asked: Asked) -> Query | None:
        """Compile the filter that the peer wants; refuse whatever would be left out otherwise."""
        wanted: Filter | None = None
        for entry in asked.filters:
            if not entry.is_xquery:
                raise Refused(
                    NOT_IMPLEMENTED,
                    f"the filter {entry.name[:100]!r} ({str(entry.descriptor)[:100]}) is not applied here; "
                    f"{XQUERY_FILTER} is",
                )
            if wanted is not None:
                raise Refused(NOT_IMPLEMENTED, "one XQuery filter per link; combine them with 'and'")
            wanted = entry
        if wanted is None:
            return None
        text = wanted.value
        if not isinstance(text, str):
            raise Refused(INVALID_FIELD, f"the filter {wanted.name[:100]!r} is no string")
        if len(text) > self.broker.limits.filter_size:
            raise Refused(INVALID_FIELD, f"a filter has at most {self.broker.limits.filter_size} characters")
        # The engine takes 0.2 s to import: a broker starts without it.
        from clacks.xquery.budget import BROKER_BUDGET
        from clacks.xquery.query import compile_query

        try:
            return compile_query(text, budget=BROKER_BUDGET)
        except QueryError as error:
            raise Refused(INVALID_FIELD, f"the filter does not compile: {error}") from None
