"""AMQP 1.0 without sockets: one proton connection, bytes in, events out.

This is the hot path. It calls proton's C functions through the cffi module, because proton's object layer
costs fourteen times as much per message; everything rare (open, attach, detach, errors) goes through the
ordinary wrappers and reaches the head as `on_endpoint`. Rules of the file:

- a raw pointer is used only while something here keeps its owner alive: ``Receiver.link`` and ``Sender.link``
  hold the link, the engine holds connection, transport and collector;
- a delivery is settled exactly once, and never after its link was closed;
- bodies are copied out of C memory before anything else happens;
- no clock and no socket: `tick` takes the time, `receive` and `bytes_to_send` take and give bytes.

``cproton_ffi`` is not a documented interface. The version of proton is pinned, and a test guards the names
used here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from cproton_ffi import ffi, lib
from proton import Collector, Condition, Connection, Delivery, Event, Link, Transport

from clacks.amqp.conditions import SURFACE, outcome_condition, peer_gave_reason, transport_condition
from clacks.common.errors import ProtocolError
from clacks.common.limits import DEFAULT_LIMITS, Limits

__all__ = ["Engine", "Head", "Incoming", "Outcome", "Receiver", "SaslLayer", "Sender"]

# The calls of the hot path as names of this module: looking one up in ``lib`` costs half of what it does.
_pn_delivery: Final = lib.pn_delivery
_pn_delivery_aborted: Final = lib.pn_delivery_aborted
_pn_delivery_link: Final = lib.pn_delivery_link
_pn_delivery_partial: Final = lib.pn_delivery_partial
_pn_delivery_pending: Final = lib.pn_delivery_pending
_pn_delivery_readable: Final = lib.pn_delivery_readable
_pn_delivery_settle: Final = lib.pn_delivery_settle
_pn_delivery_settled: Final = lib.pn_delivery_settled
_pn_event_delivery: Final = lib.pn_event_delivery
_pn_event_type: Final = lib.pn_event_type
_pn_collector_peek: Final = lib.pn_collector_peek
_pn_collector_pop: Final = lib.pn_collector_pop
_pn_link_advance: Final = lib.pn_link_advance
_pn_link_recv: Final = lib.pn_link_recv
_pn_link_send: Final = lib.pn_link_send
_view: Final = ffi.buffer

_DELIVERY: Final = int(lib.PN_DELIVERY)
_LINK_FLOW: Final = int(lib.PN_LINK_FLOW)
_ACCEPTED: Final = int(lib.PN_ACCEPTED)
_RELEASED: Final = int(lib.PN_RELEASED)

# Echoes of our own calls and notices that there is something to write: nobody decides anything on them.
_IGNORED: Final = frozenset(
    int(getattr(lib, name))
    for name in (
        "PN_CONNECTION_INIT",
        "PN_CONNECTION_BOUND",
        "PN_CONNECTION_UNBOUND",
        "PN_CONNECTION_LOCAL_OPEN",
        "PN_CONNECTION_LOCAL_CLOSE",
        "PN_SESSION_INIT",
        "PN_SESSION_LOCAL_OPEN",
        "PN_SESSION_LOCAL_CLOSE",
        "PN_LINK_INIT",
        "PN_LINK_LOCAL_OPEN",
        "PN_LINK_LOCAL_CLOSE",
        "PN_LINK_LOCAL_DETACH",
        "PN_TRANSPORT",
    )
)


class SaslLayer(Protocol):
    """What the engine needs of a security layer that speaks before AMQP does."""

    @property
    def done(self) -> bool:
        """Whether the login succeeded and AMQP may begin."""

    @property
    def leftover(self) -> bytes:
        """Bytes that came behind the outcome: they belong to AMQP."""

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer; raise LoginRefused or ProtocolError."""

    def bytes_to_send(self) -> bytes:
        """Return and forget what is to be written."""


class Head(Protocol):
    """What decides: the broker's head or the client's. The engine calls it while it digests bytes."""

    def on_message(self, receiver: Receiver, body: bytes, incoming: Incoming | None) -> None:
        """Take one whole message; ``incoming`` is None if the sender had settled it."""

    def on_credit(self, sender: Sender) -> None:
        """Note that the peer changed the credit or the drain flag of this link."""

    def on_outcome(self, sender: Sender, context: object, outcome: Outcome) -> None:
        """Take the peer's outcome for a message sent unsettled with that ``context``."""

    def on_endpoint(self, event: Event) -> None:
        """Take every rarer event: open, attach, detach, end, close, transport errors."""


class Outcome:
    """The peer's verdict on a message: ``accepted``, ``released``, ``rejected`` or ``modified``.

    ``failed`` and ``undeliverable`` belong to ``modified``: the peer tried and failed, or cannot take this
    message at all (3.4.5).
    """

    __slots__ = ("condition", "description", "failed", "name", "undeliverable")

    def __init__(
        self,
        name: str,
        condition: str = "",
        description: str = "",
        *,
        failed: bool = False,
        undeliverable: bool = False,
    ) -> None:
        self.name = name
        self.condition = condition
        self.description = description
        self.failed = failed
        self.undeliverable = undeliverable

    def __repr__(self) -> str:
        return f"Outcome({self.name!r}, {self.condition!r}, {self.description!r})"


_OUTCOMES: Final = {
    _ACCEPTED: "accepted",
    _RELEASED: "released",
    int(lib.PN_REJECTED): "rejected",
    int(lib.PN_MODIFIED): "modified",
}


class Incoming:
    """A message that its sender did not settle: say once what became of it.

    Calls after the link or the connection has gone do nothing: the sender has learned of it already.
    """

    __slots__ = ("_confirmed", "_delivery", "_receiver")

    def __init__(self, receiver: Receiver, delivery: Any) -> None:
        self._receiver = receiver
        self._delivery = delivery
        self._confirmed: Callable[[], None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is still somebody who waits to hear what became of it."""
        return self._delivery is not None and self._receiver.alive

    def accept(self) -> None:
        """Say that the message is taken."""
        self._finish(_ACCEPTED)

    def claim(self, confirmed: Callable[[], None]) -> bool:
        """Say that we want to take the message, and hear by ``confirmed`` that the peer has noted it.

        Until then the peer may not have heard of it and hand the message to somebody else; a link that goes
        meanwhile leaves us without the message (2.6.12: at least the receiver's half of exactly once). False
        if the link has gone already.
        """
        if self._delivery is None or not self._receiver.alive:
            return False
        self._confirmed = confirmed
        self._receiver.claims[self._delivery] = self
        lib.pn_delivery_update(self._delivery, _ACCEPTED)
        self._receiver.engine.touch()
        return True

    def noted(self) -> None:
        """Take the peer's word that it has noted our claim (the engine's call)."""
        confirmed, self._confirmed = self._confirmed, None
        self._finish(None)
        if confirmed is not None:
            confirmed()

    def release(self) -> None:
        """Give the message back unharmed: somebody else may have it."""
        self._finish(_RELEASED)

    def reject(self, condition: str, description: str) -> None:
        """Say that the message itself is bad; ``condition`` is an AMQP error condition."""
        if self._delivery is not None and self._receiver.alive:
            wrapper = Delivery.wrap(self._delivery)  # type: ignore[no-untyped-call]
            wrapper.local.condition = Condition(condition, description)
            wrapper.update(Delivery.REJECTED)
            self._finish(None)

    def _finish(self, state: int | None) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is None:
            return
        receiver = self._receiver
        receiver.unsettled.discard(self)
        if receiver.alive:
            if state is not None:
                lib.pn_delivery_update(delivery, state)
            lib.pn_delivery_settle(delivery)
            receiver.engine.touch()


class Receiver:
    """A link on which the peer sends to us.

    ``window`` messages of credit are given at `open` and given again as they are used, in batches of half
    a window; with a window of 0 the owner calls `grant` itself.
    """

    __slots__ = (
        "_batch",
        "_parts",
        "_ptr",
        "_size",
        "_used",
        "alive",
        "claims",
        "context",
        "engine",
        "link",
        "unsettled",
        "window",
    )

    def __init__(self, engine: Engine, link: Link, window: int, context: object = None) -> None:
        self.engine = engine
        self.link = link
        self.window = window
        self.context = context
        self.alive = True
        self.unsettled: set[Incoming] = set()
        self.claims: dict[Any, Incoming] = {}
        self._ptr = link._impl
        self._parts: list[bytes] = []
        self._size = 0
        self._used = 0
        self._batch = (window + 1) // 2 if window else _NEVER

    def open(self) -> None:
        """Send the attach, with our limit on the message size, and the first credit."""
        lib.pn_link_set_max_message_size(self._ptr, self.engine.limits.message_size)
        self.link.open()
        if self.window:
            lib.pn_link_flow(self._ptr, self.window)
        self.engine.touch()

    def grant(self, credit: int) -> None:
        """Allow the peer ``credit`` more messages."""
        if self.alive and credit > 0:
            lib.pn_link_flow(self._ptr, credit)
            self.engine.touch()

    @property
    def credit(self) -> int:
        """Messages that the peer may still send."""
        return int(lib.pn_link_credit(self._ptr)) if self.alive else 0


class Sender:
    """A link on which we send to the peer."""

    __slots__ = ("_open", "_ptr", "_tag", "alive", "context", "engine", "link")

    def __init__(self, engine: Engine, link: Link, context: object = None) -> None:
        self.engine = engine
        self.link = link
        self.context = context
        self.alive = True
        self._ptr = link._impl
        self._tag = 0
        self._open: dict[Any, object] = {}

    @property
    def credit(self) -> int:
        """Messages that the peer lets us send now, not counting those already handed over."""
        return int(lib.pn_link_credit(self._ptr)) if self.alive else 0

    @property
    def draining(self) -> bool:
        """Whether the peer asks us to use the credit now or give it up."""
        return bool(lib.pn_link_get_drain(self._ptr)) if self.alive else False

    @property
    def in_doubt(self) -> list[object]:
        """The contexts of the messages that were sent unsettled and have no outcome yet."""
        return list(self._open.values())

    def send(self, body: bytes) -> None:
        """Hand over one encoded message, settled: nobody will say what became of it.

        The caller has looked at `credit`.
        """
        ptr = self._ptr
        delivery = _pn_delivery(ptr, _EMPTY_TAG)
        _pn_link_send(ptr, body, len(body))
        _pn_delivery_settle(delivery)
        engine = self.engine
        if not engine.dirty:
            engine.touch()

    def send_unsettled(self, body: bytes, context: object) -> None:
        """Hand over one encoded message; its outcome comes back with ``context``."""
        ptr = self._ptr
        self._tag = tag = (self._tag + 1) & 0xFFFFFFFF
        # The bytes object lives until pn_delivery has copied it.
        text = tag.to_bytes(4, "big")
        pointer = ffi.from_buffer("char[]", text)
        delivery = lib.pn_delivery(ptr, ffi.new("pn_bytes_t *", {"size": 4, "start": pointer})[0])
        lib.pn_link_send(ptr, body, len(body))
        lib.pn_link_advance(ptr)
        self._open[delivery] = context
        self.engine.touch()

    def drained(self) -> None:
        """Give up the credit that is left, as the peer asked."""
        if self.alive:
            lib.pn_link_drained(self._ptr)
            self.engine.touch()


_NEVER: Final = 2**63
_FIRST_BUFFER: Final = 4096  # grows to what one burst needs; an idle connection should cost little
_LARGEST_BUFFER: Final = 1024 * 1024  # a larger one serves one message and goes

# Settled deliveries need no identity: one tag serves them all (AMQP 1.0, 2.6.12: unique among the unsettled).
_TAG_TEXT: Final = ffi.new("char[]", b"\0")
_EMPTY_TAG: Final = ffi.new("pn_bytes_t *", {"size": 1, "start": _TAG_TEXT})[0]


class Engine:
    """One AMQP connection on top of proton's engine, without a socket.

    The driver gives `receive` what the socket gave, calls ``on_work`` back once per burst through
    `touch`, and then writes `bytes_to_send`. ``writable`` is the driver's word whether the socket takes
    more; the head looks at it before it hands over messages in bulk.
    """

    def __init__(
        self,
        head: Head,
        *,
        server: bool,
        container_id: str,
        sasl: SaslLayer | None = None,
        hostname: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.head = head
        self.limits = limits
        self.server = server
        self.dirty = False
        self.writable = True
        self.on_work: Callable[[], None] | None = None
        self.sasl = sasl
        self.connection = Connection()
        self.connection.container = container_id
        if hostname:
            self.connection.hostname = hostname
        self.transport = Transport(Transport.SERVER if server else Transport.CLIENT)
        self.transport.max_frame_size = limits.frame_size
        self.transport.channel_max = limits.sessions - 1
        self.transport.idle_timeout = limits.idle_timeout
        self._collector = Collector()
        self.connection.collect(self._collector)
        self.transport.bind(self.connection)
        self._transport_ptr = self.transport._impl
        self._collector_ptr = self._collector._impl
        self._receivers: dict[Any, Receiver] = {}
        self._senders: dict[Any, Sender] = {}
        self._buffer = ffi.new("char[]", _FIRST_BUFFER)
        self._room = _FIRST_BUFFER
        self._connection_ptr = self.connection._impl
        self._partial = 0
        self._pumping = False

    # -- links

    def receiver(self, link: Link, window: int, context: object = None) -> Receiver:
        """Take charge of a receiving link (not opened yet)."""
        receiver = Receiver(self, link, window, context)
        self._receivers[link._impl] = receiver
        return receiver

    def sender(self, link: Link, context: object = None) -> Sender:
        """Take charge of a sending link (not opened yet)."""
        sender = Sender(self, link, context)
        self._senders[link._impl] = sender
        return sender

    def link_of(self, link: Link) -> Receiver | Sender | None:
        """Return the link that `receiver` or `sender` made for this proton link."""
        key = link._impl
        return self._receivers.get(key) or self._senders.get(key)

    @property
    def links(self) -> int:
        """How many links are in use."""
        return len(self._receivers) + len(self._senders)

    def drop(self, link: Receiver | Sender) -> None:
        """Forget a link whose detach has been sent or received; its pointers are not used again."""
        if link.alive:
            link.alive = False
            if isinstance(link, Receiver):
                self._forget_parts(link)
            self._receivers.pop(link._ptr, None)
            self._senders.pop(link._ptr, None)
            link.link.free()
            self.touch()

    def close_link(
        self, link: Receiver | Sender, condition: str | None = None, description: str = ""
    ) -> None:
        """Send a closing detach, with an AMQP error if ``condition`` is given, and forget the link."""
        if link.alive:
            if condition is not None:
                link.link.condition = Condition(condition, description)
            link.link.close()
            self.drop(link)

    def close(self, condition: str | None = None, description: str = "") -> None:
        """Send the close of the connection, with an AMQP error if ``condition`` is given."""
        if condition is not None:
            self.connection.condition = Condition(condition, description)
        self.connection.close()
        self.touch()

    # -- bytes

    def receive(self, data: bytes | memoryview) -> None:
        """Digest bytes of the peer; the head hears what they mean before this returns.

        ``data`` may be overwritten afterwards.

        Raises:
            LoginRefused: By the security layer.
            ProtocolError: By the security layer. Errors of AMQP itself are answered with a close frame and
                reach the head as a transport error event.
        """
        sasl = self.sasl
        if sasl is not None:
            sasl.receive(bytes(data))
            if not self.sasl_done():
                return
            data = sasl.leftover
            if not data:
                return
        self._push(data)

    def sasl_done(self) -> bool:
        """Go on with AMQP if the security layer has finished; call it when a verdict came later."""
        self.touch()
        layer = self.sasl
        if layer is None:
            return True
        if not layer.done:
            return False
        self._sasl_rest = layer.bytes_to_send()
        self.sasl = None
        return True

    _sasl_rest: bytes = b""

    def _push(self, data: bytes | memoryview) -> None:
        transport = self._transport_ptr
        view = memoryview(data)
        while view:
            room = lib.pn_transport_capacity(transport)
            if room <= 0:  # the transport failed or is closed: what follows has no meaning
                break
            taken = min(room, len(view))
            lib.pn_transport_push(transport, ffi.from_buffer(view[:taken]), taken)
            self.pump()
            view = view[taken:]
        self.touch()

    @property
    def failure(self) -> tuple[str, str]:
        """Why proton gave the connection up: name and words, or two empty texts."""
        return transport_condition(self._transport_ptr)

    @property
    def peer_gave_reason(self) -> bool:
        """Whether the peer closed the connection with an error."""
        return peer_gave_reason(self._connection_ptr)

    def eof(self) -> None:
        """Note that the peer will send nothing more."""
        lib.pn_transport_close_tail(self._transport_ptr)
        self.pump()
        self.touch()

    def bytes_to_send(self) -> bytes:
        """Return and forget everything that is to be written now."""
        self.dirty = False
        if self.sasl is not None:
            return self.sasl.bytes_to_send()
        transport = self._transport_ptr
        parts = []
        if self._sasl_rest:
            parts.append(self._sasl_rest)
            self._sasl_rest = b""
        while (size := lib.pn_transport_pending(transport)) > 0:
            buffer = self._buffer if size <= self._room else self._larger(size)
            lib.pn_transport_peek(transport, buffer, size)
            parts.append(ffi.buffer(buffer, size)[:])
            lib.pn_transport_pop(transport, size)
        self.pump()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _larger(self, size: int) -> Any:
        buffer = ffi.new("char[]", size)
        if size <= _LARGEST_BUFFER:
            self._buffer, self._room = buffer, size
        return buffer

    @property
    def backlog(self) -> int:
        """Bytes of messages that were handed over and wait inside proton.

        They wait for `bytes_to_send`, or for the peer: with a closed session window (2.5.6) it holds back
        messages for which its links gave credit.
        """
        total = 0
        session = lib.pn_session_head(self._connection_ptr, 0)
        while session:
            total += lib.pn_session_outgoing_bytes(session)
            session = lib.pn_session_next(session, 0)
        return total

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written: the driver may close the socket after the last bytes."""
        return self.sasl is None and lib.pn_transport_pending(self._transport_ptr) < 0

    def tick(self, now: float) -> float | None:
        """Do what is due (heartbeats, silence of the peer); return the next time to be called.

        ``now`` is in seconds on a clock that never goes back.
        """
        deadline = lib.pn_transport_tick(self._transport_ptr, int(now * 1000))
        self.pump()
        if lib.pn_transport_pending(self._transport_ptr) > 0:
            self.touch()
        return deadline / 1000 if deadline else None

    def touch(self) -> None:
        """Ask the driver to write; it is asked once until it has written."""
        if not self.dirty:
            self.dirty = True
            if self.on_work is not None:
                self.on_work()

    # -- events

    def pump(self) -> None:
        """Hand all waiting events to the head."""
        if self._pumping:  # the head sends while it is called; the outer loop sees what that causes
            return
        self._pumping = True
        collector = self._collector_ptr
        peek, pop, kind_of = _pn_collector_peek, _pn_collector_pop, _pn_event_type
        find_receiver = self._receivers.get
        try:
            while event := peek(collector):
                kind = kind_of(event)
                if kind == _DELIVERY:
                    delivery = _pn_event_delivery(event)
                    link = _pn_delivery_link(delivery)
                    receiver = find_receiver(link)
                    if receiver is not None:
                        self._delivered(receiver, link, delivery)
                    else:
                        self._settled(link, delivery)
                elif kind == _LINK_FLOW:
                    sender = self._senders.get(lib.pn_event_link(event))
                    if sender is not None:
                        self.head.on_credit(sender)
                elif kind not in _IGNORED:
                    wrapped = Event.wrap(event)  # type: ignore[no-untyped-call]
                    if wrapped is not None:
                        self.head.on_endpoint(wrapped)
                pop(collector)
        except BaseException:
            pop(collector)  # or the next call would meet the same event, and fail again
            raise
        finally:
            self._pumping = False

    def _delivered(self, receiver: Receiver, link: Any, delivery: Any) -> None:
        if not _pn_delivery_readable(delivery):
            # The sender settled what we have read already.
            claim = receiver.claims.pop(delivery, None) if _pn_delivery_settled(delivery) else None
            if claim is not None:
                claim.noted()
            return
        if _pn_delivery_aborted(delivery):  # and then it is not partial, whatever came before
            self._forget_parts(receiver)
            _pn_link_advance(link)
            _pn_delivery_settle(delivery)
            receiver._used += 1
            if receiver._used >= receiver._batch:
                self._replenish(receiver, link)
            return
        size = _pn_delivery_pending(delivery)
        if size:
            buffer = self._buffer if size <= self._room else self._larger(size)
            _pn_link_recv(link, buffer, size)
            body = _view(buffer, size)[:]
        else:
            body = b""
        if _pn_delivery_partial(delivery):
            receiver._parts.append(body)
            receiver._size += size
            self._partial += size
            if receiver._size > self.limits.message_size:
                self._too_large(receiver)
            elif self._partial > 4 * self.limits.message_size:
                # Many links with an unfinished message each would hold as many times the largest message.
                self._forget_parts(receiver)
                self.close_link(
                    receiver, "amqp:resource-limit-exceeded", "too many unfinished messages at once"
                )
            return
        if receiver._parts:
            receiver._parts.append(body)
            body = b"".join(receiver._parts)
            self._forget_parts(receiver)
        if len(body) > self.limits.message_size:
            self._too_large(receiver)
            return
        _pn_link_advance(link)
        if _pn_delivery_settled(delivery):
            _pn_delivery_settle(delivery)
            receiver._used += 1
            if receiver._used >= receiver._batch:
                self._replenish(receiver, link)
            self.head.on_message(receiver, body, None)
        else:
            incoming = Incoming(receiver, delivery)
            receiver.unsettled.add(incoming)
            receiver._used += 1
            if receiver._used >= receiver._batch:
                self._replenish(receiver, link)
            self.head.on_message(receiver, body, incoming)

    def _forget_parts(self, receiver: Receiver) -> None:
        self._partial -= receiver._size
        receiver._parts.clear()
        receiver._size = 0

    def _replenish(self, receiver: Receiver, link: Any) -> None:
        lib.pn_link_flow(link, receiver._used)
        receiver._used = 0

    def _too_large(self, receiver: Receiver) -> None:
        self._forget_parts(receiver)
        limit = self.limits.message_size
        self.close_link(receiver, "amqp:link:message-size-exceeded", f"a message may have {limit} bytes")

    def _settled(self, link: Any, delivery: Any) -> None:
        sender = self._senders.get(link)
        if sender is None:
            # A link that we have detached: what the peer sent before it knew must not pile up in proton.
            if lib.pn_link_is_receiver(link):
                lib.pn_delivery_settle(delivery)
            return
        state = lib.pn_delivery_remote_state(delivery)
        name = _OUTCOMES.get(state)
        if name is None and not lib.pn_delivery_settled(delivery):
            return  # the peer only said that it received it: no outcome yet
        context = sender._open.pop(delivery, None)
        if name == "rejected":
            outcome = Outcome("rejected", *outcome_condition(delivery))
        elif name == "modified":
            remote = Delivery.wrap(delivery).remote  # type: ignore[no-untyped-call]
            outcome = Outcome(
                "modified", failed=bool(remote.failed), undeliverable=bool(remote.undeliverable)
            )
        else:
            # Settled without an outcome: the default of the source applies, which is released (3.4.5).
            outcome = Outcome(name or "released")
        lib.pn_delivery_settle(delivery)
        if context is not None:
            self.head.on_outcome(sender, context, outcome)

    def free(self) -> None:
        """Let go of everything; the engine is not used again."""
        for receiver in self._receivers.values():
            receiver.alive = False
        for sender in self._senders.values():
            sender.alive = False
        self._receivers.clear()
        self._senders.clear()
        self.on_work = None
        self.transport.unbind()
        self.connection.free()


def require_proton() -> None:
    """Check that the parts of proton's private surface used here exist.

    Raises:
        ProtocolError: If this build of proton lacks one.
    """
    missing = [name for name in _SURFACE if not hasattr(lib, name)]
    if missing:
        raise ProtocolError(f"this build of proton lacks {', '.join(missing)}")


_SURFACE: Final = (
    *SURFACE,
    "pn_collector_peek",
    "pn_collector_pop",
    "pn_delivery",
    "pn_delivery_aborted",
    "pn_delivery_link",
    "pn_delivery_partial",
    "pn_delivery_pending",
    "pn_delivery_readable",
    "pn_delivery_remote_state",
    "pn_delivery_settle",
    "pn_delivery_settled",
    "pn_delivery_update",
    "pn_event_delivery",
    "pn_event_link",
    "pn_event_type",
    "pn_link_advance",
    "pn_link_credit",
    "pn_link_drained",
    "pn_link_flow",
    "pn_link_get_drain",
    "pn_link_is_receiver",
    "pn_link_recv",
    "pn_link_send",
    "pn_link_set_max_message_size",
    "pn_session_head",
    "pn_session_next",
    "pn_session_outgoing_bytes",
    "pn_transport_capacity",
    "pn_transport_close_tail",
    "pn_transport_peek",
    "pn_transport_pending",
    "pn_transport_pop",
    "pn_transport_push",
    "pn_transport_tick",
)
