"""The embedded broker, without sockets: nodes, routing, rights. One machine, one process, one thread.

A driver makes a `BrokerConnection` for every peer with `Broker.connect`, feeds it bytes and the time, and
calls `Broker.tick` every second. Everything else happens inside those calls.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from clacks.amqp.links import Incoming
from clacks.amqp.messages import Envelope, decode, open_envelope
from clacks.amqp.sasl import SaslServer
from clacks.broker.drops import Drops
from clacks.broker.names import Name, Place, classify, may_receive, may_send
from clacks.broker.peer import BrokerConnection
from clacks.broker.queues import Queue
from clacks.broker.refusal import (
    DECODE_ERROR,
    EXPIRED,
    INVALID_FIELD,
    LIMIT,
    NOT_FOUND,
    UNAUTHORIZED,
    Refused,
)
from clacks.broker.taken import Taken
from clacks.broker.topics import Content, Subscription, TopicTree
from clacks.broker.waiting import Total, Waiting
from clacks.common.address import DEFAULT_DOMAIN
from clacks.common.errors import InvalidEvent, MalformedEvent, ProtocolError
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.metrics import Counter, Metrics
from clacks.common.presence import speaker_of
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry
from clacks.common.tracing import Tracing

__all__ = ["Broker"]

_DYNAMIC: Final = "$reply."
"""Beginning of the address of a dynamic node. No other node may begin so."""


def _unguessable() -> str:
    return secrets.token_urlsafe(18)


class Topic:
    """A topic outside the domain, which exists as long as a link uses it."""

    __slots__ = ("links",)

    def __init__(self) -> None:
        self.links = 0


class Broker:
    """What all connections share.

    Args:
        registry: The event types; the only maker of events.
        rights: Who may do what. Replaced by `set_rights`.
        limits: Bounds for every peer.
        metrics: Counts ``messages_received``, ``messages_delivered``, ``messages_dropped{reason}``,
            ``events_received{type}``, ``events_routed{type}`` (one for each subscription that an event is
            for), ``events_unheard{type}`` (it was for none), ``route_seconds`` (histogram: CPU and waiting
            between a transfer and its last copy),
            ``filter_errors``, those of `FilterIndex`, ``links_refused{reason}``, ``connections``,
            ``connections_opened``.
        domain: The domain whose events, commands and clients live here.
        new_name: Makes names of dynamic nodes, which nobody may guess.
        timer: Seconds since anywhere, for ``route_seconds``.
        tracing: Makes a span of what happens to each event.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        rights: Rights,
        limits: Limits = DEFAULT_LIMITS,
        metrics: Metrics | None = None,
        domain: str = DEFAULT_DOMAIN,
        *,
        new_name: Callable[[], str] = _unguessable,
        timer: Callable[[], float] = time.perf_counter,
        tracing: Tracing | None = None,
    ) -> None:
        self.registry = registry
        self.rights = rights
        self.limits = limits
        self.metrics = metrics if metrics is not None else Metrics()
        self.domain = domain
        self._event_prefix = f"{domain}.event."
        self.container_id = f"clacks-{new_name()}"
        self.now = 0.0
        """The time that the driver gave last, in seconds since 1970."""
        self.connections: dict[BrokerConnection, None] = {}
        self.received = self.metrics.counter("messages_received")
        self.delivered = self.metrics.counter("messages_delivered")
        self.filter_errors = self.metrics.counter("filter_errors")
        self.total = Total(limits.waiting_bytes)
        self.topics = TopicTree(self.metrics)
        self._taken = Taken(limits.remembered_calls)
        self._drops = Drops(self.metrics)
        self._refusals = Drops(self.metrics, "links_refused", "link refused")
        self._new_name = new_name
        self._timer = timer
        self._tracing = tracing
        self._route_seconds = self.metrics.histogram("route_seconds")
        self._by_kind: dict[str, tuple[Counter, Counter]] = {}
        self._queues: dict[str, Queue] = {}
        self._opaque: dict[str, Topic] = {}
        self._readable: dict[str, frozenset[str]] = {}
        self._numbers = itertools.count(1)

    # -- connections

    def connect(self, *, user: str | None = None, sasl: SaslServer | None = None) -> BrokerConnection:
        """Begin a connection: of a peer that is known to be ``user``, or that ``sasl`` will log in."""
        return BrokerConnection(self, next(self._numbers), user=user, sasl=sasl)

    def opened(self, connection: BrokerConnection) -> None:
        """Count a connection that speaks AMQP now.

        Raises:
            Refused: If there are too many.
        """
        if len(self.connections) >= self.limits.connections:
            raise Refused(LIMIT, f"at most {self.limits.connections} connections", "too many connections")
        self.connections[connection] = None
        self.metrics.count("connections_opened")
        self.metrics.set("connections", len(self.connections))

    def closed(self, connection: BrokerConnection) -> None:
        """Forget a connection."""
        if self.connections.pop(connection, self) is None:
            self.metrics.set("connections", len(self.connections))

    def tick(self, now: float) -> None:
        """Do what time brings: expire messages, forget queues that nobody uses. Call it every second."""
        self.now = now
        for address, queue in list(self._queues.items()):
            if len(queue):
                queue.expire(now)
            if queue.idle and queue.owner is None:
                del self._queues[address]

    def drop(self, reason: str, user: str, description: str, n: int = 1) -> None:
        """Count ``n`` lost messages, and say so in the log now and then."""
        self._drops.count(self.now, reason, user, description, n)

    def refuse(self, refused: Refused, user: str) -> None:
        """Count a link that ``user`` wanted and did not get, and say so in the log now and then."""
        self._refusals.count(self.now, refused.condition, user, refused.description)

    # -- rights

    def set_rights(self, rights: Rights) -> None:
        """Let other rights hold from now on; links that they do not allow are closed."""
        self.rights = rights
        self._rights_changed()

    def set_registry(self, registry: SchemaRegistry) -> None:
        """Let other event types hold from now on; call it as well after a reload."""
        self.registry = registry
        self._rights_changed()

    def _rights_changed(self) -> None:
        self._readable.clear()
        subscriptions = list(self.topics)
        for connection in list(self.connections):
            connection.rights_changed()
        for subscription in subscriptions:
            if subscription.sender.alive:
                self.topics.unsubscribe(subscription)
                self._subscribe(subscription)
        self.topics.forget_routes()

    def readable(self, user: str) -> frozenset[str]:
        """Return the event types that ``user`` may read."""
        found = self._readable.get(user)
        if found is None:
            kinds = (kind for kind in self.registry.kinds if self.rights.may_read(user, kind))
            found = self._readable[user] = frozenset(kinds)
        return found

    # -- nodes

    def queue(self, address: str) -> Queue | None:
        """Return the queue of that name, if there is one."""
        return self._queues.get(address)

    def name(self, address: str) -> Name:
        """Say what an address means.

        Raises:
            Refused: If nothing.
        """
        if address.startswith(_DYNAMIC):
            return Name(address, Place.OTHER)
        return classify(address, self.domain)

    def may_send(self, name: Name, user: str) -> None:
        """Check that ``user`` may send there.

        Raises:
            Refused: If not.
        """
        if name.address.startswith(_DYNAMIC):
            if name.address not in self._queues:
                raise Refused(NOT_FOUND, "the reply address does not exist any more", "no such address")
            return
        may_send(name, user, self.rights, exists=self._exists(name.address))

    def may_receive(self, name: Name, user: str, connection: BrokerConnection) -> None:
        """Check that ``user`` may read there.

        Raises:
            Refused: If not.
        """
        if name.address.startswith(_DYNAMIC):
            queue = self._queues.get(name.address)
            if queue is None:
                raise Refused(NOT_FOUND, "the reply address does not exist any more", "no such address")
            if queue.owner is not connection:
                raise Refused(UNAUTHORIZED, "only its owner reads a dynamic node", "no right")
            return
        exists = self._exists(name.address)
        may_receive(name, user, self.rights, self.readable(user), exists=exists)

    def _exists(self, address: str) -> bool:
        return address in self._opaque or address in self._queues

    def is_queue(self, name: Name, capabilities: frozenset[str]) -> bool:
        """Tell whether a name outside events is a queue: by its place, by what exists, by what is asked.

        Raises:
            Refused: If it exists as the other thing.
        """
        if name.queue or name.address.startswith(_DYNAMIC):
            return True
        wanted = "queue" if "queue" in capabilities else "topic" if "topic" in capabilities else None
        found = "queue" if name.address in self._queues else "topic" if name.address in self._opaque else None
        if wanted and found and wanted != found:
            raise Refused(INVALID_FIELD, f"{name.address} is a {found}, not a {wanted}", "wrong node type")
        if wanted == "queue" and name.pattern:
            raise Refused(INVALID_FIELD, f"{name.address}: a queue has no wildcards")
        return (found or wanted) == "queue"

    def use_queue(self, name: Name) -> Queue:
        """Return the queue of that name, made now if it does not exist.

        Raises:
            Refused: If there are too many nodes.
        """
        queue = self._queues.get(name.address)
        if queue is None:
            self._room_for_node()
            queue = Queue(
                name.address, self.limits, self.total, self, settles_late=name.queue, taken=self._taken
            )
            self._queues[name.address] = queue
        return queue

    def make_dynamic(self, owner: BrokerConnection) -> Queue:
        """Return a new queue that only ``owner`` reads.

        Raises:
            Refused: If there are too many nodes.
        """
        self._room_for_node()
        address = _DYNAMIC + self._new_name()
        queue = Queue(address, self.limits, self.total, self, owner=owner)
        self._queues[address] = queue
        return queue

    def remove_dynamic(self, queue: Queue) -> None:
        """Delete a dynamic node; what is in it is lost, as are messages on their way."""
        if self._queues.pop(queue.address, None) is not None:
            queue.close(NOT_FOUND, "the reply address does not exist any more")

    def use_topic(self, address: str) -> None:
        """Note a link of an opaque topic, made now if it does not exist.

        Raises:
            Refused: If there are too many nodes.
        """
        topic = self._opaque.get(address)
        if topic is None:
            self._room_for_node()
            topic = self._opaque[address] = Topic()
        topic.links += 1

    def leave_topic(self, address: str) -> None:
        """Note that a link of an opaque topic has gone."""
        topic = self._opaque.get(address)
        if topic is not None:
            topic.links -= 1
            if topic.links <= 0:
                del self._opaque[address]

    def _room_for_node(self) -> None:
        if len(self._queues) + len(self._opaque) >= self.limits.nodes:
            raise Refused(LIMIT, f"at most {self.limits.nodes} addresses", "too many nodes")

    # -- subscriptions

    def waiting(self) -> Waiting:
        """Return an empty queue for one consumer."""
        return Waiting(self.limits.queue_events, self.limits.queue_bytes, self.total)

    def subscribe(self, subscription: Subscription) -> None:
        """Let a subscription take part."""
        self._subscribe(subscription)

    def _subscribe(self, subscription: Subscription) -> None:
        name = classify(subscription.address, self.domain)
        user = subscription.outlet.user
        kinds = self.readable(user)
        prefix = self._event_prefix
        size = len(prefix)
        if name.place is Place.EVENT:
            self.topics.subscribe(
                subscription, name.address, name.pattern, kinds, lambda topic: topic[size:] in kinds
            )
        elif not name.pattern:
            self.topics.subscribe(subscription, name.address, False, None, lambda topic: True)
        else:
            # Such a pattern may cover events as well as topics of others.
            def allows(topic: str) -> bool:
                if topic.startswith(prefix):
                    return topic[size:] in self.readable(user)
                return self.rights.may_create(user, topic)

            self.topics.subscribe(subscription, name.address, True, user, allows)

    # -- messages

    def take_opaque(
        self, name: Name, user: str, raw: bytes, incoming: Incoming | None, envelope: Envelope | None = None
    ) -> None:
        """Pass a message on to a topic outside the domain, as it is.

        Raises:
            Refused: If it is no message, or its user-id is not the login.
        """
        if envelope is None:
            envelope = self.check_envelope(raw, user)
        expires = None
        if envelope.ttl is not None or envelope.absolute_expiry_time is not None:
            expires = envelope.expires(self.now)
        self.topics.publish(name.address, envelope.raw, expires)
        if incoming is not None:
            incoming.accept()

    def take_queued(
        self, queue: Queue, user: str, raw: bytes, incoming: Incoming | None, envelope: Envelope | None = None
    ) -> None:
        """Put a message into a queue.

        Raises:
            Refused: As `take_opaque`, or if the queue is full.
        """
        if envelope is None:
            envelope = self.check_envelope(raw, user)
        key = None
        if queue.settles_late:
            try:
                id_ = decode(raw).message_id
            except ProtocolError as error:
                raise Refused(DECODE_ERROR, str(error), "malformed message") from None
            key = None if id_ is None else (user, id_)
        queue.put(envelope.raw, envelope.expires(self.now), incoming, self.now, key)

    def take_event(self, name: Name, user: str, raw: bytes, incoming: Incoming | None) -> None:
        """Check an event and pass it on.

        Raises:
            Refused: If address, subject and document do not agree, the document is not valid, or ``user``
                may not publish that type.
        """
        began = self._timer()
        envelope = self.check_envelope(raw, user, body=True)
        kind, subject = name.kind, envelope.subject
        if subject is None or (kind is not None and subject != kind):
            wanted = kind or "the event type"
            raise Refused(INVALID_FIELD, f"the subject must be {wanted}, not {subject!r}", "wrong subject")
        if not self.rights.may_publish(user, subject):
            raise Refused(UNAUTHORIZED, f"{user} may not publish events of type {subject}", "no right")
        body = envelope.body
        if body is None:  # several data sections, or text as amqp-value
            try:
                body = decode(raw).body
            except ProtocolError as error:
                raise Refused(DECODE_ERROR, str(error), "malformed message") from None
        try:
            event = self.registry.receive(body)
        except MalformedEvent as error:
            raise Refused(DECODE_ERROR, str(error), "malformed event") from None
        except InvalidEvent as error:
            raise Refused(INVALID_FIELD, str(error), "invalid event") from None
        if event.kind != subject:
            raise Refused(
                INVALID_FIELD, f"the subject is {subject}, the document {event.kind}", "wrong subject"
            )
        speaker = speaker_of(event)
        if speaker is not None and not self.rights.may_announce(user, speaker):
            raise Refused(UNAUTHORIZED, f"{user} may not speak as {speaker[:100]!r}", "foreign id")
        self.registry.share(event)
        raw = envelope.raw
        content = Content(raw, envelope, event.root)
        topic, expires = self._event_prefix + subject, envelope.expires(self.now)
        if self._tracing is None:
            offered = self.topics.publish(topic, raw, expires, content)
        else:
            with self._tracing.route(subject, topic, _properties(envelope)):
                offered = self.topics.publish(topic, raw, expires, content)
        if incoming is not None:
            incoming.accept()
        received, routed = self._by_kind.get(subject) or self._counters(subject)
        received.value += 1
        routed.value += offered
        if not offered:
            self.metrics.count("events_unheard", type=subject)
        self._route_seconds.observe(self._timer() - began)

    def _counters(self, kind: str) -> tuple[Counter, Counter]:
        # A registry that is read again may lose types, but it never names as many as could fill memory.
        found = (
            self.metrics.counter("events_received", type=kind),
            self.metrics.counter("events_routed", type=kind),
        )
        return self._by_kind.setdefault(kind, found)

    def check_envelope(self, raw: bytes, user: str, *, body: bool = False) -> Envelope:
        """Read the outside of a message, and its ``body`` if that is asked for.

        Raises:
            Refused: If it is none, has expired, or its user-id is not the login.
        """
        try:
            envelope = open_envelope(raw, body=body)
        except ProtocolError as error:
            raise Refused(DECODE_ERROR, str(error), "malformed message") from None
        if envelope.user_id is not None and envelope.user_id != user.encode():
            raise _foreign_user(user, envelope.user_id)
        if envelope.absolute_expiry_time is not None and self.now * 1000 >= envelope.absolute_expiry_time:
            raise Refused(EXPIRED, "the message had expired", "expired")
        return envelope

    def queues(self) -> Iterator[Queue]:
        """Yield all queues: of commands, of clients, of others, and dynamic nodes."""
        yield from self._queues.values()

    def status(self) -> Iterator[tuple[str, str, int, int, int]]:
        """Yield for every subscription: user, address, messages delivered, waiting, dropped."""
        for item in self.topics:
            yield item.outlet.user, item.address, item.delivered, len(item.waiting.items), item.dropped


def _properties(envelope: Envelope) -> Mapping[str, Any]:
    try:
        return envelope.properties
    except ProtocolError:  # filters say so; a trace has nothing to join then
        return {}


def _foreign_user(user: str, claimed: bytes) -> Refused:
    shown = claimed[:80].decode("utf-8", "replace")
    return Refused(UNAUTHORIZED, f"the user-id is {shown!r}, the login is {user!r}", "foreign user-id")
