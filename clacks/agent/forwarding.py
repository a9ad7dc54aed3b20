"""Where a call is carried out: here, on the node that provides it, or on all of them.

=============  ===============================================================================
NORMAL         here if this node provides it, else on the least burdened node that does
FIRSTRESULT    on one provider after the other, this node first, until one has a result
CUMULATIVE     on all providers at the same time; the answers are joined by node
=============  ===============================================================================

Only calls of the shared queue are forwarded, and they go to the queue of one node, where they are carried out
or refused: so no call travels in circles, and no two agents wait for each other's workers.

A forwarded call may take as long as its caller waits: the message says how long that is, less a part of it
for the way back.

A forwarded call keeps its user: it goes ``on_behalf_of`` the caller, whose rights count on the other node as
well. For that the login of this agent needs the right ``impersonate`` for the caller, there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Final, Protocol

from clacks.agent.command import CommandRegistry, CommandType
from clacks.agent.nodes import Node, NodeTable
from clacks.common.errors import (
    BusError,
    CommandError,
    CommandTimeout,
    LinkRefused,
    OutcomeUnknown,
)
from clacks.common.jsonrpc import (
    FORBIDDEN,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    OUTCOME_UNKNOWN,
    TIMED_OUT,
    UNAVAILABLE,
    Request,
)

__all__ = ["FORWARD_TIME", "PATIENCE", "Forwarder", "Requester"]

FORWARD_TIME: Final = 25.0
"""Seconds for a forwarded call to be answered whose caller does not say how long it waits: a little less than
callers wait that do not care."""

PATIENCE: Final = 3.0
"""Seconds for another node to take a call. One that lives takes it in milliseconds; of one that was killed
nobody knows for half a minute."""

_AT_ONCE: Final = 64
"""Nodes that are asked at the same time: each needs a link, and a connection has 256."""


class Requester(Protocol):
    """What of `Bus` is needed here."""

    async def request(
        self,
        request: Request,
        *,
        timeout: float = 30.0,
        address: str | None = None,
        on_behalf_of: str | None = None,
        patience: float | None = None,
    ) -> Any:
        """Make a call and return its result."""


class Forwarder:
    """Decides where calls are carried out, and sees to it.

    Args:
        bus: Where calls to other nodes go.
        node: The id of this node.
        queue: The command queue that this agent serves.
        login: The login of this agent, or None.
        commands: The commands of this node.
        nodes: All nodes.
        address: Returns the address of a queue of a node.
        loop: Returns the loop of the bus.
    """

    def __init__(
        self,
        bus: Requester,
        *,
        node: str,
        queue: str,
        login: str | None,
        commands: CommandRegistry,
        nodes: NodeTable,
        address: Callable[[str, str], str],
        loop: Callable[[], asyncio.AbstractEventLoop],
    ) -> None:
        self._bus = bus
        self._node = node
        self._queue = queue
        self._login = login
        self._commands = commands
        self._nodes = nodes
        self._address = address
        self._loop = loop

    def here(self, request: Request, user: str, on_behalf_of: str | None) -> Any:
        """Carry out a call that came to this node alone.

        Raises:
            CommandError: As `CommandRegistry.dispatch`.
        """
        return self._commands.dispatch(request, user, on_behalf_of, queue=self._queue)

    def shared(self, request: Request, user: str, on_behalf_of: str | None) -> Any:
        """Carry out a call of the shared queue, in a worker thread.

        What is done by other nodes is returned as an awaitable, so that no thread waits for them.

        Raises:
            CommandError: As `CommandRegistry.dispatch`.
        """
        caller = self._commands.admit(request.method, user, on_behalf_of)
        local = self._commands.find(request.method, self._queue)
        if local is not None and local.type is CommandType.NORMAL:
            return self.here(request, user, on_behalf_of)
        others = [
            node for node in self._nodes.providers(request.method, self._queue) if node.id != self._node
        ]
        if local is None and not others:
            return self.here(request, user, on_behalf_of)  # which says that there is none
        kind = local.type if local is not None else _kind(others[0], request.method)
        if kind is CommandType.NORMAL:
            return self._one(request, caller, others)
        if kind is CommandType.FIRSTRESULT:
            return self._first(request, caller, user, on_behalf_of, others, local=local is not None)
        return self._all(request, caller, user, on_behalf_of, others, local=local is not None)

    # -- NORMAL

    async def _one(self, request: Request, caller: str, others: list[Node]) -> Any:
        for node in others:
            try:
                return await self._ask(node, request, caller)
            except CommandTimeout:
                continue  # nobody took it: it was not carried out, so the next one may
            except CommandError as error:
                if error.code != METHOD_NOT_FOUND:  # our table is behind: it has forgotten the command
                    raise
        raise CommandError(
            UNAVAILABLE,
            f"no node that provides {request.method[:100]} took the call; it was not carried out",
            {"nodes": [node.id for node in others]},
        )

    # -- FIRSTRESULT

    def _first(
        self,
        request: Request,
        caller: str,
        user: str,
        on_behalf_of: str | None,
        others: list[Node],
        *,
        local: bool,
    ) -> Any:
        """Ask this node and return its result if it has one, else an awaitable that asks the others."""
        failed: dict[str, CommandError] = {}
        answered = False
        if local:
            try:
                result = self.here(request, user, on_behalf_of)
            except CommandError as error:
                if error.code in (INVALID_PARAMS, FORBIDDEN):
                    raise
                failed[self._node] = error
            else:
                if result is not None or not others:
                    return result
                answered = True
        return self._rest(request, caller, others, failed, answered)

    async def _rest(
        self,
        request: Request,
        caller: str,
        others: list[Node],
        failed: dict[str, CommandError],
        answered: bool,
    ) -> Any:
        for place, node in enumerate(others):
            try:
                # One that hangs must leave time for those who come after it.
                result = await self._ask(node, request, caller, share=1 / (len(others) - place))
            except CommandError as error:
                failed[node.id] = error
                continue
            if result is not None:
                return result
            answered = True
        if answered:
            return None
        if len(failed) == 1:
            raise next(iter(failed.values()))
        raise CommandError(
            UNAVAILABLE,
            f"no node has a result for {request.method[:100]}",
            {"nodes": {node: _told(error) for node, error in failed.items()}},
        )

    # -- CUMULATIVE

    def _all(
        self,
        request: Request,
        caller: str,
        user: str,
        on_behalf_of: str | None,
        others: list[Node],
        *,
        local: bool,
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        # The others begin while this thread does our own part.
        asked: Future[dict[str, Any]] = asyncio.run_coroutine_threadsafe(
            self._ask_all(request, caller, others), self._loop()
        )
        found: dict[str, Any] = {}
        if local:
            try:
                found[self._node] = {"result": self.here(request, user, on_behalf_of)}
            except CommandError as error:
                if error.code == INVALID_PARAMS:
                    asked.cancel()
                    raise
                found[self._node] = {"error": _told(error)}
        return self._joined(found, asked)

    async def _ask_all(self, request: Request, caller: str, others: list[Node]) -> dict[str, Any]:
        free = asyncio.Semaphore(_AT_ONCE)

        async def ask(node: Node) -> dict[str, Any]:
            async with free:
                try:
                    return {"result": await self._ask(node, request, caller)}
                except CommandError as error:
                    return {"error": _told(error)}

        answers = await asyncio.gather(*(ask(node) for node in others))
        return {node.id: answer for node, answer in zip(others, answers)}

    async def _joined(self, found: dict[str, Any], asked: Future[dict[str, Any]]) -> dict[str, Any]:
        theirs: dict[str, Any] = await asyncio.wrap_future(asked)
        joined = {**found, **theirs}
        return {node: joined[node] for node in sorted(joined)}

    # -- one node

    async def _ask(self, node: Node, request: Request, caller: str, *, share: float = 1.0) -> Any:
        """Have one node carry out a call, in this share of the time that is left.

        Raises:
            CommandTimeout: It did not take it in time.
            CommandError: Everything else.
        """
        left = FORWARD_TIME if request.deadline is None else request.deadline - self._loop().time()
        left *= share
        if left <= 0:
            raise CommandTimeout(
                TIMED_OUT, f"the caller does not wait any more: node {node.id} was not asked"
            )
        method = node.provides(request.method)
        queue = method.target if method is not None and method.target else self._queue
        behalf = None if caller == self._login else caller
        with _counted(node):
            try:
                return await self._bus.request(
                    Request(request.method, request.params),
                    timeout=left,
                    address=self._address(queue, node.id),
                    on_behalf_of=behalf,
                    patience=min(PATIENCE, left),
                )
            except OutcomeUnknown as error:
                raise CommandError(
                    OUTCOME_UNKNOWN, f"node {node.id} took {request.method[:100]} and its answer is lost"
                ) from error
            except LinkRefused as error:
                # As if nobody had taken it: nobody has.
                raise CommandTimeout(TIMED_OUT, f"node {node.id} cannot be reached: {error}") from error
            except ValueError as error:  # an id that no address can have
                raise CommandTimeout(TIMED_OUT, f"node {node.id} has no address: {error}") from error
            except BusError as error:
                raise CommandError(UNAVAILABLE, f"node {node.id} cannot be reached: {error}") from error


def _kind(node: Node, method: str) -> CommandType:
    found = node.provides(method)
    return CommandType(found.type) if found is not None else CommandType.NORMAL


@contextlib.contextmanager
def _counted(node: Node) -> Iterator[None]:
    """Count a call as on its way to a node: not all shall go to the one that was idle a moment ago."""
    node.sent += 1
    try:
        yield
    finally:
        node.sent -= 1


def _told(error: CommandError) -> dict[str, Any]:
    """Return an error as JSON-RPC writes it."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return told
