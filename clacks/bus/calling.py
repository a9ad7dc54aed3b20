"""The calling half of the bus: where answers come in, and what goes out again after a loss."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from clacks.amqp.connection import (
    ConnectionEvent,
    LinkClosed,
    LinkOpened,
    MessageReceived,
    ReceiveFrom,
    Settled,
)
from clacks.amqp.eventmessage import ON_BEHALF_OF
from clacks.amqp.links import Receiver
from clacks.amqp.messages import Message, decode, encode
from clacks.amqp.profiles import NodeKind
from clacks.bus.calls import Call, CallInput, CallState
from clacks.bus.links import Line, Outlet, permanent
from clacks.common import jsonrpc
from clacks.common.address import reply_address
from clacks.common.errors import (
    ClacksError,
    CommandError,
    CommandRefused,
    ConnectionLost,
    LinkRefused,
    ProtocolError,
)
from clacks.common.jsonrpc import Request, Success

__all__ = ["CALL_CONTENT_TYPE", "ON_BEHALF_OF", "Caller"]

log = logging.getLogger(__name__)

CALL_CONTENT_TYPE: Final = "application/json"

_REPLY_CREDIT: Final = 100
_AGAIN: Final = 0.25  # seconds before a call goes out again that was given back
_EARLIER: Final = (
    0.1  # part of the time-out, at most a second, by which the message expires before its caller
)


class _Pending:
    """A call and who waits for it."""

    __slots__ = ("answer", "call", "timer")

    def __init__(self, call: Call, answer: asyncio.Future[Any]) -> None:
        self.call = call
        self.answer = answer
        self.timer: asyncio.TimerHandle | None = None


class Caller:
    """Makes calls: one node for all answers, one link for each command queue."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pending: dict[str, _Pending] = {}
        self._outlets: dict[str, Outlet] = {}
        self._single: set[str] = set()
        """Addresses to which one call goes at a time: one of several lost us the link, and we look which."""
        self._receiver: Receiver | None = None
        self._reply_to: str | None = None
        self._dynamic = True
        """Whether the broker has not refused to make a node for answers yet."""
        self._closed = False

    async def request(
        self,
        request: Request,
        address: str,
        timeout: float,
        on_behalf_of: str | None,
        patience: float | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a call and wait for its answer; for somebody to take it no longer than ``patience``.

        Raises:
            CommandError, LinkRefused, ConnectionLost: As `Bus.call` says.
        """
        if self._closed:
            raise ConnectionLost("the bus is closed")
        loop = asyncio.get_running_loop()
        id_ = uuid.uuid4().hex
        body = jsonrpc.encode(Request(request.method, request.params, id_))
        now = loop.time()
        taken_by = None if patience is None else now + patience
        call = Call(
            id_, request.method, address, body, now + timeout, on_behalf_of, taken_by, context=context or {}
        )
        pending = _Pending(call, loop.create_future())
        self._pending[id_] = pending
        pending.timer = loop.call_at(call.expires, self._deadline, pending)
        try:
            self._send_waiting()
            return await pending.answer
        finally:
            pending.timer.cancel()
            self._pending.pop(id_, None)
            self._forget_outlet(address)

    def _deadline(self, pending: _Pending) -> None:
        loop = asyncio.get_running_loop()
        if pending.call.state is CallState.TAKEN and loop.time() < pending.call.deadline:
            pending.timer = loop.call_at(pending.call.deadline, self._deadline, pending)
            return
        pending.call.step(CallInput.DEADLINE)
        self._conclude(pending)

    def _conclude(self, pending: _Pending) -> None:
        failure = pending.call.failure()
        if failure is not None:
            self._fail(pending, failure)

    def _fail(self, pending: _Pending, error: ClacksError) -> None:
        if not pending.answer.done():
            pending.answer.set_exception(error)

    # -- going out

    def _send_waiting(self) -> None:
        connection = self._line.connection
        if connection is None or not self._pending:
            return
        if self._receiver is None:
            self._open_reply()
        if self._reply_to is None:
            return
        now = asyncio.get_running_loop().time()
        # A broker that remembers who took which call loses that when it is restarted.
        profile = connection.profile
        known = connection.peer.container if profile is not None and profile.claims else None
        for pending in list(self._pending.values()):
            call = pending.call
            if call.state is not CallState.WAITING or pending.answer.done():
                continue
            if call.doubtful and call.broker != known:
                call.step(CallInput.STRANGER)
                self._conclude(pending)
                continue
            call.broker = known
            if call.address in self._single and self._under_way(call.address):
                continue
            outlet = self._outlet(call.address)
            outlet.open()
            sender = outlet.sender
            if sender is not None and sender.credit > 0:
                sender.send_unsettled(self._message(call, call.expires - now), call.id)
                call.step(CallInput.SENT)

    def _under_way(self, address: str) -> bool:
        """Tell whether a call to this address waits for its outcome."""
        return any(
            pending.call.address == address and pending.call.state is CallState.SENT
            for pending in self._pending.values()
        )

    def _message(self, call: Call, left: float) -> bytes:
        user = self._line.user
        message = Message(
            body=call.body,
            subject=call.method,
            content_type=CALL_CONTENT_TYPE,
            user_id=None if user is None else user.encode(),
            message_id=call.id,
            correlation_id=call.id,
            reply_to=self._reply_to,
            # The message expires a little before its caller: what was not taken when we stop waiting will
            # not be taken while we say so.
            ttl=max(1, int((left - min(1.0, left * _EARLIER)) * 1000)),
        )
        if call.on_behalf_of is not None or call.context:
            behalf = {} if call.on_behalf_of is None else {ON_BEHALF_OF: call.on_behalf_of}
            message.properties = {**call.context, **behalf}
        return encode(message)

    def _outlet(self, address: str) -> Outlet:
        outlet = self._outlets.get(address)
        if outlet is None:
            outlet = self._outlets[address] = Outlet(
                self._line,
                address,
                NodeKind.QUEUE,
                settled=self._settled,
                ready=self._send_waiting,
                closed=self._outlet_closed,
            )
        return outlet

    def _forget_outlet(self, address: str) -> None:
        """Close the link to an address that is hardly asked twice: the queue of one node or client."""
        if len(self._outlets) > 32 and not any(p.call.address == address for p in self._pending.values()):
            outlet = self._outlets.pop(address, None)
            if outlet is not None:
                outlet.close()

    def _outlet_closed(self, outlet: Outlet, event: LinkClosed) -> None:
        doubtful = [found for id_ in event.in_doubt if (found := self._pending.get(str(id_))) is not None]
        for pending in doubtful:
            pending.call.step(CallInput.LINK_LOST)
        if event.with_connection:
            return
        if doubtful and not event.refused and permanent(event.condition):
            self._faulty(doubtful, event)
        error = LinkRefused(event.condition, event.description, outlet.address or "")
        if event.refused:
            for pending in self._pending.values():
                if pending.call.address == outlet.address and pending.call.state is CallState.WAITING:
                    self._fail(pending, error)
            self._outlets.pop(outlet.address or "", None)
        else:
            log.warning("a command link was closed address=%s reason=%s", outlet.address, error)
            asyncio.get_running_loop().call_later(_AGAIN, self._send_waiting)

    def _faulty(self, doubtful: list[_Pending], event: LinkClosed) -> None:
        """Find the call that lost us the link: some brokers have no other word for one they do not like.

        RabbitMQ ends the session over a user-id that is not the login. To send such a call again would only
        lose the next link. Of several any may be the one, so they go out again one by one.
        """
        if len(doubtful) > 1:
            self._single.update(pending.call.address for pending in doubtful)
            return
        (pending,) = doubtful
        words = event.description or "the broker refuses the call"
        self._fail(pending, CommandRefused(jsonrpc.FORBIDDEN, words, {"condition": event.condition}))

    def _next_single(self, address: str) -> None:
        """Send the next of those that go out one by one; when none is left they may go together again."""
        if address not in self._single:
            return
        if not any(
            pending.call.address == address and pending.call.state in (CallState.WAITING, CallState.SENT)
            for pending in self._pending.values()
        ):
            self._single.discard(address)
        self._send_waiting()

    def _settled(self, event: Settled) -> None:
        pending = self._pending.get(str(event.context))
        if pending is None:
            return
        self._outcome(pending, event)
        self._next_single(pending.call.address)

    def _outcome(self, pending: _Pending, event: Settled) -> None:
        call, outcome = pending.call, event.outcome
        match outcome.name:
            case "accepted":
                call.step(CallInput.ACCEPTED)
            case "rejected" if outcome.condition == "clacks:expired":
                # The broker's word that nobody took it; the deadline says the same a moment later.
                call.step(CallInput.RELEASED)
                call.step(CallInput.DEADLINE)
                self._conclude(pending)
            case "rejected":
                if not pending.answer.done():
                    code = jsonrpc.FORBIDDEN if "unauthorized" in outcome.condition else jsonrpc.UNAVAILABLE
                    words = outcome.description or "the call was refused"
                    pending.answer.set_exception(
                        CommandRefused(code, words, {"condition": outcome.condition})
                    )
            case _:
                call.step(CallInput.RELEASED)
                asyncio.get_running_loop().call_later(_AGAIN, self._send_waiting)

    # -- coming back

    def _open_reply(self) -> None:
        connection = self._line.connection
        assert connection is not None
        profile = connection.profile
        assert profile is not None
        self._reply_to = None
        address = None
        if not (profile.dynamic and self._dynamic):
            unique = reply_address(self._line.user or "anonymous", uuid.uuid4().hex)
            address = profile.source(unique, NodeKind.REPLY, self._line.domain)
        self._receiver = connection.open_receiver(ReceiveFrom(address, _REPLY_CREDIT), self)

    def on_link(self, event: ConnectionEvent) -> None:
        """Take an event of the link for answers."""
        match event:
            case LinkOpened() if event.link is self._receiver:
                self._reply_to = event.address
                self._send_waiting()
            case LinkClosed() if event.link is self._receiver:
                self._receiver = None
                self._reply_to = None
                for pending in list(self._pending.values()):
                    pending.call.step(CallInput.REPLY_LOST)
                    self._conclude(pending)
                if not event.with_connection:
                    self._reply_refused(event)
            case MessageReceived():
                self._answered(event.body)
            case _:
                pass

    def _reply_refused(self, event: LinkClosed) -> None:
        error = LinkRefused(event.condition, event.description, "the node for answers")
        if event.refused and self._dynamic and event.condition != "amqp:unauthorized-access":
            # Not every broker that nobody described makes nodes: name one ourselves.
            self._dynamic = False
            self._send_waiting()
        elif event.refused:
            for pending in list(self._pending.values()):
                self._fail(pending, error)
        else:
            log.warning("the link for answers was closed reason=%s", error)
            asyncio.get_running_loop().call_later(_AGAIN, self._send_waiting)

    def _answered(self, raw: bytes) -> None:
        try:
            message = decode(raw)
            answer = jsonrpc.decode(message.body)
        except (ProtocolError, CommandError) as error:
            log.warning("an answer was dropped reason=%s", error)
            return
        pending = self._pending.get(str(message.correlation_id))
        if pending is None or pending.answer.done():
            log.debug("an answer came that nobody waits for id=%s", message.correlation_id)
            return
        if isinstance(answer, Request):
            log.warning("an answer was dropped reason=it is a call")
            return
        pending.call.step(CallInput.ANSWER)
        if isinstance(answer, Success):
            pending.answer.set_result(answer.result)
        else:
            pending.answer.set_exception(answer.error())

    # -- the connection

    def restore(self) -> None:
        """Send again, on a new connection, what nobody had accepted on the old one."""
        self._receiver = None
        self._reply_to = None
        self._dynamic = True
        for outlet in self._outlets.values():
            outlet.restore()
        self._send_waiting()

    def close(self) -> None:
        """Let all calls fail: what somebody has accepted has an unknown outcome."""
        self._closed = True
        for pending in list(self._pending.values()):
            pending.call.step(CallInput.REPLY_LOST)
            if pending.call.doubtful:
                pending.call.step(CallInput.DEADLINE)
            self._fail(pending, pending.call.failure() or ConnectionLost("the bus was closed"))
