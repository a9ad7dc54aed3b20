"""The serving half of the bus: calls in, answers out, none carried out twice."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeAlias

from clacks.amqp.connection import (
    ConnectionEvent,
    LinkClosed,
    LinkOpened,
    MessageReceived,
    ReceiveFrom,
)
from clacks.amqp.links import Incoming, Receiver
from clacks.amqp.messages import Message, decode
from clacks.amqp.profiles import NodeKind, UserTrust
from clacks.bus.calling import CALL_CONTENT_TYPE, ON_BEHALF_OF
from clacks.bus.calls import CallMemory
from clacks.bus.links import Line, permanent
from clacks.bus.replies import Replies
from clacks.common import jsonrpc
from clacks.common.errors import CommandError, ConnectionLost, LinkRefused, ProtocolError
from clacks.common.jsonrpc import Failure, Request, Success
from clacks.common.limits import DEFAULT_LIMITS
from clacks.common.tracing import Tracing

__all__ = ["CallHandler", "Service", "handler_of"]

log = logging.getLogger(__name__)

CallHandler: TypeAlias = Callable[[Request, str, str | None], Any | Awaitable[Any]]
"""Gets the call, the user who made it, and for whom (``clacks_on_behalf_of``, as the message says it:
whether that user may speak for others is the handler's question). Returns a JSON value or an awaitable of
one; raises CommandError to refuse. A plain function runs in a thread, a coroutine function on the loop."""

_RETRY: Final = 1.0  # seconds before a link is asked for again that the broker took away
_SLOW_RETRY: Final = 30.0
_LARGEST_ANSWER: Final = DEFAULT_LIMITS.message_size - 4096  # the rest is for addresses and ids


def handler_of(handlers: CallHandler | Mapping[str, CallHandler], method: str) -> CallHandler:
    """Return who answers a method.

    Raises:
        CommandError: Nobody does.
    """
    if callable(handlers):
        return handlers
    found = handlers.get(method)
    if found is None:
        raise CommandError(jsonrpc.METHOD_NOT_FOUND, f"there is no method {method!r} here")
    return found


def _is_async(handler: CallHandler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - not whether it can be called: what that gives
    )


class Service:
    """Commands being served; close it to stop taking calls. `Bus.serve` makes it."""

    def __init__(
        self,
        line: Line,
        replies: Replies,
        handlers: CallHandler | Mapping[str, CallHandler],
        addresses: tuple[str, ...],
        workers: int,
        *,
        trust_users: bool,
        ended: Callable[[Service], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._line = line
        self._replies = replies
        self._handlers = handlers
        self._workers = workers
        self._trust_users = trust_users
        self._ended = ended
        self._tracing = tracing
        self._memory = CallMemory()
        self._desks = [_Desk(self, address, workers) for address in addresses]
        self._running: set[asyncio.Task[None]] = set()
        self._threads: ThreadPoolExecutor | None = None
        self.closed = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The queues that are served, as the bus names them."""
        return tuple(desk.address for desk in self._desks)

    @property
    def running(self) -> int:
        """How many calls are carried out just now."""
        return len(self._running)

    async def close(self, grace: float = 5.0) -> None:
        """Take no more calls, let the running ones finish for ``grace`` seconds, cancel the rest."""
        if self.closed:
            return
        self.closed = True
        claims = [claim for desk in self._desks for claim in desk.claims]
        if claims:  # what the broker counts as taken by us is carried out
            await asyncio.wait(claims, timeout=1.0)
        for desk in self._desks:
            desk.close()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                log.warning("calls were cut off n=%d", len(late))
                await asyncio.wait(late, timeout=1.0)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._ended(self)

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- the bus's side

    async def agreed(self) -> None:
        """Wait until the broker has agreed to all links.

        Raises:
            LinkRefused: It does not.
            ConnectionLost: The bus was closed meanwhile.
        """
        for desk in self._desks:
            await asyncio.shield(desk.agreed)

    def restore(self) -> None:
        """Take calls from a new connection."""
        for desk in self._desks:
            desk.restore()

    def take(self, desk: _Desk, body: bytes, incoming: Incoming | None) -> None:
        """Take a call off its queue."""
        loop = asyncio.get_running_loop()
        try:
            message = decode(body)
            properties = message.properties
        except ProtocolError as error:
            self._turn_down(desk, incoming, None, "amqp:decode-error", str(error), jsonrpc.PARSE_ERROR)
            return
        user = self._user_of(message)
        if user is None:
            words = "a call must say its user (user-id), and the broker must vouch for it"
            self._turn_down(desk, incoming, message, "amqp:unauthorized-access", words, jsonrpc.FORBIDDEN)
            return
        if desk.free <= 0 or self.closed:
            if incoming is not None:
                incoming.release()
            return
        id_ = message.message_id
        if id_ is not None:
            known = self._memory.begin(user, id_, message.reply_to, loop.time())
            if known is not None:
                if incoming is not None:
                    incoming.accept()
                if known.answer:
                    self._answer(message, known.answer, message.reply_to)
                elif known.forgotten:
                    self._answer(message, _forgotten(message), message.reply_to)
                desk.next()
                return
        behalf = properties.get(ON_BEHALF_OF)
        desk.free -= 1
        task = loop.create_task(
            self._carry_out(desk, message, incoming, user, behalf if isinstance(behalf, str) else None)
        )
        self._running.add(task)
        task.add_done_callback(partial(self._done, desk))

    def _done(self, desk: _Desk, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        desk.free += 1
        desk.next()
        if not task.cancelled() and task.exception() is not None:
            log.error("a call was not answered", exc_info=task.exception())

    def _user_of(self, message: Message) -> str | None:
        connection = self._line.connection
        profile = connection.profile if connection is not None else None
        trusted = self._trust_users or (profile is not None and profile.user_id is UserTrust.VERIFIED)
        if message.user_id is None or not trusted:
            return None
        try:
            return message.user_id.decode("utf-8") or None
        except UnicodeDecodeError:
            return None

    def _turn_down(
        self,
        desk: _Desk,
        incoming: Incoming | None,
        message: Message | None,
        condition: str,
        words: str,
        code: int,
    ) -> None:
        log.warning("a call was refused address=%s reason=%s", desk.address, words)
        # Where "accepted" comes from the broker the caller hears of it only by an answer.
        if message is not None and message.reply_to:
            id_ = message.message_id
            failure = Failure(code, words, id=id_ if isinstance(id_, str) else None)
            self._answer(message, jsonrpc.encode(failure), message.reply_to)
        if incoming is not None:
            incoming.reject(condition, words)
        desk.next()

    async def _carry_out(
        self,
        desk: _Desk,
        message: Message,
        incoming: Incoming | None,
        user: str,
        on_behalf_of: str | None,
    ) -> None:
        # From here on it counts as carried out, whatever becomes of us; so the broker hears it first. Where
        # it can say that it has heard it we wait for that: a word that is lost with the connection would let
        # it give the same call to another agent.
        taken = asyncio.get_running_loop().time()
        if incoming is not None and not await desk.accepted(incoming):
            self._memory.forget(user, message.message_id)
            log.info("a call was left to others, the connection was lost method=%s", message.subject)
            return
        id_: jsonrpc.Id = None
        wanted = True
        try:
            request = jsonrpc.decode(message.body)
            if not isinstance(request, Request):
                raise CommandError(jsonrpc.INVALID_REQUEST, "an answer is no call")
            id_, wanted = request.id, not request.notification
            if message.ttl is not None:
                request = replace(request, deadline=taken + message.ttl / 1000)
            if self._tracing is None:
                result = await self._result(request, user, on_behalf_of)
            else:
                with self._tracing.serve(request.method, desk.address, message.properties):
                    result = await self._result(request, user, on_behalf_of)
            answer = jsonrpc.encode(Success(result, id_))
            if len(answer) > _LARGEST_ANSWER:
                words = f"the result is too large: {len(answer)} of {_LARGEST_ANSWER} bytes"
                raise CommandError(jsonrpc.INTERNAL_ERROR, words)
        except CommandError as error:
            answer = jsonrpc.encode(_failure(error, id_))
        except asyncio.CancelledError:
            gone = Failure(jsonrpc.OUTCOME_UNKNOWN, "the agent stopped before the call was done", id=id_)
            self._finish(message, user, jsonrpc.encode(gone))
            raise
        except Exception:
            # The handler is somebody else's code; its words may say more than a caller should know.
            log.exception("a call failed method=%s user=%s", message.subject, user)
            answer = jsonrpc.encode(Failure(jsonrpc.INTERNAL_ERROR, "the command failed", id=id_))
        if wanted:
            self._finish(message, user, answer)

    async def _result(self, request: Request, user: str, on_behalf_of: str | None) -> Any:
        handler = handler_of(self._handlers, request.method)
        if _is_async(handler):
            return await handler(request, user, on_behalf_of)
        if self._threads is None:
            # One thread for each worker: what we accepted begins at once.
            workers = self._workers * len(self._desks)
            self._threads = ThreadPoolExecutor(workers, thread_name_prefix="clacks-command")
        work = partial(handler, request, user, on_behalf_of)
        if self._tracing is not None:  # what the command publishes or calls belongs to its span
            work = partial(contextvars.copy_context().run, work)
        result = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        return await result if inspect.isawaitable(result) else result

    def _finish(self, message: Message, user: str, answer: bytes) -> None:
        reply_to = message.reply_to
        if message.message_id is not None:
            reply_to = self._memory.finish(user, message.message_id, answer) or reply_to
        self._answer(message, answer, reply_to)

    def _answer(self, message: Message, answer: bytes, reply_to: str | None) -> None:
        if not reply_to:
            return
        correlation = message.correlation_id if message.correlation_id is not None else message.message_id
        user = self._line.user
        self._replies.send(
            reply_to,
            Message(
                body=answer,
                content_type=CALL_CONTENT_TYPE,
                correlation_id=correlation,
                user_id=None if user is None else user.encode(),
            ),
        )


def _failure(error: CommandError, id_: jsonrpc.Id) -> Failure:
    failure = Failure(error.code, error.message, error.data, id_)
    try:
        jsonrpc.encode(failure)
    except CommandError:
        return Failure(error.code, error.message, id=id_)  # its data is no JSON
    return failure


def _forgotten(message: Message) -> bytes:
    id_ = message.message_id
    return jsonrpc.encode(
        Failure(
            jsonrpc.OUTCOME_UNKNOWN,
            "the call was carried out, and its answer was too large to be kept",
            id=id_ if isinstance(id_, str) else None,
        )
    )


class _Desk:
    """One queue that is served, with its free workers."""

    def __init__(self, service: Service, address: str, workers: int) -> None:
        self.address = address
        self.free = workers
        self.agreed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._service = service
        self.claims: set[asyncio.Future[bool]] = set()
        self._receiver: Receiver | None = None
        self._granted = 0
        self._claiming = False

    def restore(self) -> None:
        """Open the link, on a new connection."""
        connection = self._service._line.connection
        if connection is None or self._service.closed:
            return
        profile = connection.profile
        assert profile is not None
        source = profile.source(self.address, NodeKind.QUEUE, self._service._line.domain)
        self._give_up_claims()
        self._claiming = profile.claims
        capabilities = profile.capabilities(NodeKind.QUEUE)
        asked = ReceiveFrom(source, 0, (), capabilities, settled=False, claimed=profile.claims)
        self._granted = 0
        self._receiver = connection.open_receiver(asked, self)

    def on_link(self, event: ConnectionEvent) -> None:
        match event:
            case LinkOpened() if event.link is self._receiver:
                if not self.agreed.done():
                    self.agreed.set_result(None)
                self._grant()
            case MessageReceived() if event.link is self._receiver:
                self._granted -= 1
                self._service.take(self, event.body, event.incoming)
            case LinkClosed() if event.link is self._receiver:
                self._receiver = None
                self._give_up_claims()
                if not event.with_connection:
                    self._closed(event)
            case _:
                pass

    def _closed(self, event: LinkClosed) -> None:
        error = LinkRefused(event.condition, event.description, self.address)
        if not self.agreed.done():
            self.fail(error)
            return
        # Rights come and go; who was once let in asks again, if only now and then.
        pause = _SLOW_RETRY if permanent(event.condition) else _RETRY
        log.warning(
            "a command queue was taken away, asking again in %g s address=%s reason=%s",
            pause,
            self.address,
            error,
        )
        asyncio.get_running_loop().call_later(pause, self._again)

    def _again(self) -> None:
        if self._receiver is None:
            self.restore()

    async def accepted(self, incoming: Incoming) -> bool:
        """Take a call; False if the link went before the broker had noted that."""
        if not self._claiming:
            incoming.accept()
            self._service._line.hurry()
            return True
        claim: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not incoming.claim(partial(_confirm, claim)):
            return False
        self.claims.add(claim)
        self._service._line.hurry()
        try:
            return await claim
        finally:
            self.claims.discard(claim)

    def _give_up_claims(self) -> None:
        for claim in self.claims:
            if not claim.done():
                claim.set_result(False)

    def next(self) -> None:
        """Ask for the next call if a worker is free."""
        self._grant()

    def _grant(self) -> None:
        wanted = self.free - self._granted
        if self._receiver is not None and wanted > 0 and not self._service.closed:
            self._receiver.grant(wanted)
            self._granted += wanted

    def fail(self, error: Exception) -> None:
        """Let who waits for the broker's agreement fail."""
        if not self.agreed.done():
            self.agreed.set_exception(error)
            self.agreed.exception()

    def close(self) -> None:
        """Take no more calls; those on their way go back to the queue."""
        connection = self._service._line.connection
        if self._receiver is not None and connection is not None:
            connection.close_link(self._receiver)
        self._receiver = None
        self._give_up_claims()
        self.fail(ConnectionLost("the service was closed"))


def _confirm(claim: asyncio.Future[bool]) -> None:
    if not claim.done():
        claim.set_result(True)
