"""Where requests are judged, in this order: host and origin (`guard`), credentials (`logins`), the table.

What is let in becomes a session with a connection of its own, a response that goes on, or one answer.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from clacks.common import audit
from clacks.common.exposition import exposed
from clacks.common.measured import Measured
from clacks.common.metrics import Metrics
from clacks.dialects.access import GUEST, METRICS, NOBODY, Access, Identity
from clacks.dialects.actions import (
    Credentials,
    Failed,
    Failure,
    LoggedIn,
    Login,
    Password,
    SessionToken,
    Token,
)
from clacks.dialects.exchange import EventStream, Request, Response, Route, Routes
from clacks.dialects.session import Dialect, Hello, Knowledge, Refusal, Session
from clacks.gateway.acting import Hand, House
from clacks.gateway.connection import Connection, States
from clacks.gateway.cors import is_preflight, preflight, shared_with
from clacks.gateway.options import Options
from clacks.net.web import Answer, Streaming, Upgrade
from clacks.net.web_link import Link

__all__ = ["Reception"]

_log = logging.getLogger(__name__)

_SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "clacks",
}


class Reception:
    """Judges requests and begins sessions.

    Args:
        options: Tables and switches.
        knowledge: What sessions and routes know.
        metrics: Where to count.
        measured: What ``/metrics`` shows.
        connected: Tells whether the bus has its broker.

    Attributes:
        house: What all sessions share; until it is there, requests are answered with 503.
        states: The last events of types that are a state.
        connections: All sessions at work.
    """

    def __init__(
        self,
        options: Options,
        knowledge: Knowledge,
        metrics: Metrics,
        measured: Measured,
        connected: Callable[[], bool],
    ) -> None:
        self.house: House | None = None
        self.states = States()
        self.connections: dict[Connection, None] = {}
        self._options = options
        self._knowledge = knowledge
        self._metrics = metrics
        self._measured = measured
        self._connected = connected
        self._routes = options.routes(knowledge)
        self._kind_routes = {kind: made(knowledge) for kind, made in options.kind_routes.items()}

    @property
    def _house(self) -> House:
        assert self.house is not None  # nobody gets that far before
        return self.house

    async def respond(self, kind: str, request: Request, uid: int | None) -> Answer:
        """Answer one request; the web server calls it."""
        begun = time.perf_counter()
        answer = await self._judged(kind, request, uid)
        if isinstance(answer, Response | Streaming):
            # A page of another origin may read this if it is one of ours.
            shared = shared_with(self._options.guard, request.headers) if uid is None else {}
            answer = replace(answer, headers={**_SECURITY, **answer.headers, **shared})
        # The path alone: tokens and passwords stand in queries.
        _log.debug(
            "request method=%s path=%s address=%s answer=%s seconds=%.4f",
            request.method,
            ascii(request.path[:200]),
            request.hello.address,
            answer.status if isinstance(answer, Response) else type(answer).__name__.lower(),
            time.perf_counter() - begun,
        )
        return answer

    async def _judged(self, kind: str, request: Request, uid: int | None) -> Answer:
        upgrade = request.headers.get("upgrade", "").lower() == "websocket"
        dialect = self._dialect(kind, request.path)
        refused = self._options.guard.refusal(
            request.method,
            request.path,
            request.headers,
            words=dialect.origins if dialect is not None and upgrade else frozenset(),
            upgrade=upgrade,
            unix=uid is not None,
        )
        if refused is not None:
            self._metrics.count("web_refused", reason=f"status {refused[0]}")
            return _words(*refused)
        if is_preflight(request.method, request.headers):
            return preflight(self._options.guard, request.headers, self._methods(kind, request.path, dialect))
        if request.path == "/healthz":
            return self._health(request.method)
        if self.house is None:
            return _words(503, "the gateway begins")
        stream = (
            dialect is not None
            and dialect.stream is not None
            and "text/event-stream" in request.headers.get("accept", "")
        )
        chosen = dialect if upgrade or stream else None
        if upgrade and chosen is None:
            return _words(404, "no dialect speaks here")
        access = await self._admitted(request, uid, chosen)
        if isinstance(access, Response):
            return access
        if request.path in ("/metrics", "/metrics/"):
            return self._metrics_page(request, access)
        hello = replace(request.hello, access=access, base=self._base(kind, request.path))
        if chosen is not None:
            return self._begun(chosen, hello, stream=not upgrade)
        return await self._routed(kind, replace(request, hello=hello), access)

    def _methods(self, kind: str, path: str, dialect: Dialect | None) -> set[str]:
        """Return the methods that a path has."""
        routes = self._routes if kind in ("http", "https") else self._kind_routes.get(kind, {})
        found = {method for method, _ in _methods(routes, path)}
        if "GET" in found or path in ("/healthz", "/metrics") or (dialect is not None and dialect.stream):
            found |= {"GET", "HEAD"}
        return found

    def _dialect(self, kind: str, path: str) -> Dialect | None:
        table = self._options.paths if kind in ("http", "https") else self._options.kinds.get(kind, {})
        below = [place for place in table if place.endswith("/") and path.startswith(place)]
        return table.get(path) or (table[max(below, key=len)] if below else None)

    def _base(self, kind: str, path: str) -> str:
        table = self._options.paths if kind in ("http", "https") else self._options.kinds.get(kind, {})
        below = [place for place in table if place.endswith("/") and path.startswith(place)]
        return max(below, key=len, default="/")

    async def _admitted(
        self, request: Request, uid: int | None, dialect: Dialect | None
    ) -> Access | Response:
        """Return who asks; a wrong login is 401, none at all is nobody."""
        shown: Credentials | None
        try:
            if dialect is not None and dialect.credentials is not None:
                shown = dialect.credentials(request.hello)
            else:
                shown = _shown(request.hello)
        except ValueError:
            return _words(400, "the Authorization header cannot be read")
        if shown is None or (self._options.no_auth and isinstance(shown, Token)):
            identity: Identity | None = None
            if uid is not None:
                identity = self._house.door.of_socket(uid)
                if identity is not None:
                    audit.login("gateway", identity.user, "unix", "accepted", identity.method)
            elif self._options.no_auth:
                identity = Identity(GUEST)
            if identity is None and dialect is not None and dialect.required:
                return _unauthorized("no authentication token was given")
            return self._house.access(identity or NOBODY)
        if isinstance(shown, Password) and not request.hello.secure:
            return _words(403, "passwords are taken over TLS or on this machine only")
        nobody = Hand(self._house, self._house.access(NOBODY), request.hello.address)
        outcome = await nobody.perform(Login(None, shown))
        if isinstance(outcome, LoggedIn):
            found = outcome.access.identity
            if dialect is not None and dialect.required and not (found.read or found.write):
                return _unauthorized("the token has no topics")
            return outcome.access
        if isinstance(outcome, Failed) and outcome.why is Failure.BUSY:
            return Response(
                429, b"too many failed logins; try again later\n", "text/plain", {"Retry-After": "5"}
            )
        return _unauthorized("authentication failed")

    def _begun(self, dialect: Dialect, hello: Hello, *, stream: bool) -> Answer:
        """Begin a session."""
        access = hello.access
        made: Session | Refusal
        if stream:
            assert dialect.stream is not None
            made = dialect.stream(hello, self._knowledge)
            if isinstance(made, Refusal):
                return Response(made.status, made.body.encode(), made.content_type)
            return self._streaming(EventStream(made), access)
        session = dialect.begin(hello, self._knowledge)
        return Upgrade(self._runner(session, access), dialect.message_size, dialect.ping)

    def _streaming(self, stream: EventStream, access: Access) -> Streaming:
        return Streaming(
            self._runner(stream.session, access),
            stream.content_type,
            stream.headers,
            stream.keep_alive,
            stream.ping,
        )

    def _runner(self, session: Session, access: Access) -> Callable[[Link], Awaitable[None]]:
        house = self._house

        async def run(link: Link) -> None:
            connection = Connection(house, self.states, session, link, access)
            self.connections[connection] = None
            try:
                await connection.run()
            finally:
                self.connections.pop(connection, None)

        return run

    async def _routed(self, kind: str, request: Request, access: Access) -> Answer:
        routes = self._routes if kind in ("http", "https") else self._kind_routes.get(kind, {})
        route = _route(routes, request.method, request.path)
        if route is None:
            allowed = [method for method, _ in _methods(routes, request.path)]
            if allowed:
                return Response(405, b"", "text/plain", {"Allow": ", ".join(sorted({*allowed, "HEAD"}))})
            return _words(404, "nothing is here")
        method = "GET" if request.method == "HEAD" else request.method
        answer = await route(
            replace(request, method=method), Hand(self._house, access, request.hello.address)
        )
        return self._streaming(answer, access) if isinstance(answer, EventStream) else answer

    def _health(self, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            return Response(405, b"", "text/plain", {"Allow": "GET, HEAD"})
        if self._connected():
            return Response(200, b'{ "status": "ok" }\r\n')
        return Response(503, b'{ "status": "no broker" }\r\n')

    def _metrics_page(self, request: Request, access: Access) -> Response:
        local = request.hello.secure and not request.hello.tls
        if not local and not access.may_call(METRICS):
            return (
                _unauthorized("the right web.metrics is needed")
                if not access.user
                else _words(403, "the right web.metrics is needed")
            )
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", "text/plain", {"Allow": "GET, HEAD"})
        body, content_type = exposed(self._measured.read(), request.headers.get("accept", ""))
        return Response(200, body, content_type)


def _words(status: int, text: str) -> Response:
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8")


def _unauthorized(text: str) -> Response:
    return Response(
        401,
        f"{text}\n".encode(),
        "text/plain; charset=utf-8",
        {"WWW-Authenticate": 'Bearer realm="clacks", Basic realm="clacks", charset="UTF-8"'},
    )


def _shown(hello: Hello) -> Credentials | None:
    """Return what an ``Authorization`` header shows. Raises ValueError if it cannot be read."""
    header = hello.headers.get("authorization", "")
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        # Tokens of this gateway are letters and digits; JSON web tokens have dots.
        return Token(value) if "." in value else SessionToken(value)
    if scheme.lower() == "basic" and value:
        try:
            user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("not base64 of UTF-8") from error
        if not colon:
            raise ValueError("no password")
        return Password(user, password)
    return None


def _methods(routes: Routes, path: str) -> list[tuple[str, Route]]:
    """Return the methods of the longest row that fits a path."""
    rows: dict[str, list[tuple[str, Route]]] = {}
    for (method, place), route in routes.items():
        if place == path or (place.endswith("/") and place != "/" and path.startswith(place)):
            rows.setdefault(place, []).append((method, route))
    return rows[max(rows, key=len)] if rows else []


def _route(routes: Routes, method: str, path: str) -> Route | None:
    wanted = "GET" if method == "HEAD" else method
    return next((route for found, route in _methods(routes, path) if found == wanted), None)
