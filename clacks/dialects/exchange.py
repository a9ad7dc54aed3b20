"""Plain HTTP as values: a route is a function from a request to a response.

A route does what sessions do, with the same words: it gives effects to an `Actor`, which carries them out
with the rights of who asked and returns the outcome::

    async def post_event(request: Request, actor: Actor) -> Response:
        outcome = await actor.perform(Publish(None, XmlDraft(request.body)))

Routes are rows of a table, ``{("POST", "/events"): post_event}``; a path that ends with ``/`` stands for all
below it, the longest row counts. The gateway has then already checked host, origin, size and login: a wrong
login got 401, none at all is an actor without rights.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from clacks.dialects.access import Access
from clacks.dialects.actions import Effect, Outcome
from clacks.dialects.session import Hello, Session

__all__ = ["Actor", "EventStream", "Request", "Response", "Route", "Routes", "json_response"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: ``GET``, ``POST`` ...; a HEAD comes as GET, its body is dropped later.
        path: Percent-decoded, without ``..`` and doubled slashes.
        query: All values of each parameter, in their order.
        headers: Names in lower case; several lines of a name are joined with ``, ``.
        body: The whole body; its size was limited.
        hello: Address, TLS and login of the connection, as sessions get it.
    """

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    hello: Hello = field(repr=False)

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request; ``headers`` come beside those that the gateway sets (length, security)."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventStream:
    """A response that goes on: the session's texts and events are written as they come.

    Live events come through `Subscribe` effects of the session, as on a WebSocket; here an `Encoded` event is
    a block such as ``id: 1\\ndata: {}\\n\\n``. ``keep_alive`` is written in every pause of ``ping`` seconds.
    """

    session: Session
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    keep_alive: bytes = b":\n\n"
    ping: float = 30.0


class Actor(Protocol):
    """Carries out effects on behalf of one user."""

    @property
    def access(self) -> Access:
        """Who it is and what that allows."""

    async def perform(self, effect: Effect) -> Outcome:
        """Carry out one effect that has an outcome: no `Send`, `Close`, `Subscribe`, `Unsubscribe`, `Wake`.

        The outcome of `Login` is the access of that login; this actor stays who it is.
        """


Route: TypeAlias = Callable[[Request, Actor], Awaitable[Response | EventStream]]
Routes: TypeAlias = Mapping[tuple[str, str], Route]


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as JSON, in UTF-8."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(status, body, headers=headers or {})
