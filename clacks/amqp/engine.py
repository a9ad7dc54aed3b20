"""AMQP 1.0 without sockets: one proton connection, bytes in, events out.

This is the hot path. It calls proton's C functions through the cffi module, because proton's object layer
costs fourteen times as much per message; everything rare (open, attach, detach, errors) goes through the
ordinary wrappers and reaches the head as `on_endpoint`. Rules of the file:

- a raw pointer is used only while something here keeps its owner alive: ``Receiver.link`` and ``Sender.link``
  hold the link, the engine holds connection, transport and collector;
- a delivery is settled exactly once, and never after its link was closed;
- bodies are copied out of C memory before anything else happens;
- no clock and no socket: `tick` takes the time, `receive` and `bytes_to_send` take and give bytes.

``cproton_ffi`` is not a documented interface: `surface` names all that is used of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from cproton_ffi import ffi, lib
from proton import Collector, Condition, Connection, Delivery, Event, Link, Transport

from clacks.amqp.conditions import outcome_condition, peer_gave_reason, transport_condition
from clacks.amqp.links import OUTCOMES, Incoming, Outcome, Receiver, Sender
from clacks.common.limits import DEFAULT_LIMITS, Limits

__all__ = ["Engine", "Head", "SaslLayer"]

# The calls of the hot path as names of this module: looking one up in ``lib`` costs half of what it does.
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
_view: Final = ffi.buffer

_DELIVERY: Final = int(lib.PN_DELIVERY)
_LINK_FLOW: Final = int(lib.PN_LINK_FLOW)

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


_FIRST_BUFFER: Final = 4096  # grows to what one burst needs; an idle connection should cost little
_LARGEST_BUFFER: Final = 1024 * 1024  # a larger one serves one message and goes


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
        # Below zero: nothing more will be written, which is news, too.
        if lib.pn_transport_pending(transport):
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
        name = OUTCOMES.get(state)
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
