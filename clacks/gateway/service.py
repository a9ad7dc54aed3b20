"""The gateway as a service: tables of paths, one connection to the bus, files that are read again.

What comes over the web is judged here in this order: host and origin (`guard`), credentials (`logins`), the
table. What comes from the bus goes to `fanout`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import platform
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from clacks.bus import Bus, Received, Subscription
from clacks.bus.joining import LOG_ID
from clacks.common import audit
from clacks.common.credentials import Credentials as Known
from clacks.common.errors import BusError
from clacks.common.exposition import exposed
from clacks.common.limits import Limits
from clacks.common.measured import Measured
from clacks.common.metrics import Metrics
from clacks.common.rights import BUILTIN_ROLES, Rights, Role
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import GUEST, METRICS, NOBODY, Access, Identity
from clacks.dialects.actions import (
    Credentials,
    EventDraft,
    Failed,
    Failure,
    LoggedIn,
    Login,
    Password,
    SessionToken,
    Token,
)
from clacks.dialects.delivered import TOPIC_MESSAGE, Delivered
from clacks.dialects.exchange import EventStream, Request, Response, Route, Routes
from clacks.dialects.session import Dialect, Hello, Knowledge, Refusal, Session
from clacks.gateway.acting import Hand, House
from clacks.gateway.connection import Connection, States
from clacks.gateway.cors import is_preflight, preflight, shared_with
from clacks.gateway.fanout import Fanout
from clacks.gateway.guard import Guard
from clacks.gateway.history import History, Readable
from clacks.gateway.logins import OWNER, Doorkeeper
from clacks.gateway.tokens import TokenKey
from clacks.net.web import Answer, Streaming, Upgrade, WebListener, WebServer
from clacks.net.web_link import Link
from clacks.store.api import KeyValue
from clacks.store.ids import RECORDERS, IdClock, LogId

__all__ = ["Gateway", "Options"]

_log = logging.getLogger(__name__)

_TURN: Final = 20_000
"""Deliveries after which the loop gets a turn to write them."""
_QUEUE: Final = 20_000
"""Events from the bus that may wait: publishers through this gateway wait long before."""
_SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "clacks",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a gateway behaves.

    Attributes:
        paths: Dialects by path, on listeners of the kind ``http``.
        kinds: Dialects by path, for the other kinds of listeners.
        routes: Makes the table of plain HTTP, for listeners of the kind ``http``.
        kind_routes: The same for the other kinds of listeners.
        guard: Which hosts and origins are ours.
        no_auth: Whoever comes is a guest; only for listeners on loopback.
        token_key: What tokens are checked with, or None.
        names: Names of this gateway for sessions (``Knowledge.hostname``); the host name if empty.
        dialect_options: Settings for dialects.
        signer: Tells whose registered key signed a text; None if nobody logs in by keys.
        number: Number of this gateway for message ids, 0 to 1023; a random one if None.
    """

    paths: Mapping[str, Dialect] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Dialect]] = field(default_factory=dict)
    routes: Callable[[Knowledge], Routes] = lambda knowledge: {}
    kind_routes: Mapping[str, Callable[[Knowledge], Routes]] = field(default_factory=dict)
    guard: Guard = field(default_factory=Guard)
    no_auth: bool = False
    token_key: TokenKey | None = field(default=None, repr=False)
    hostname: str = ""
    dialect_options: Mapping[str, object] = field(default_factory=dict)
    signer: Callable[[str, bytes], str | None] | None = None
    number: int | None = None


class Gateway:
    """Joins dialects, store and bus. Use it as context manager, on the loop of its bus.

    Args:
        bus: A started bus whose login may publish, read and impersonate (role ``gateway``).
        registry: The event types.
        options: Tables and switches.
        limits: Sizes.
        credentials: Gives the users that count now.
        rights: Gives the rights that count now; call `changed` when they change.
        listeners: Where to listen.
        log: The event log, or None.
        keys: The key/value store, or None.

    Attributes:
        server: The web server; its ``ports`` tell where it listens.
        metrics: What is counted.
        measured: All that ``/metrics`` shows: this gateway and what else the process runs.
    """

    def __init__(
        self,
        bus: Bus,
        registry: SchemaRegistry,
        options: Options,
        listeners: Iterable[WebListener],
        *,
        limits: Limits,
        credentials: Callable[[], Known],
        rights: Callable[[], Rights],
        log: Readable | None = None,
        keys: KeyValue | None = None,
        metrics: Metrics | None = None,
        measured: Measured | None = None,
    ) -> None:
        self.metrics = Metrics() if metrics is None else metrics
        self.measured = Measured() if measured is None else measured
        self.measured.add(
            "gateway", self.metrics, lambda: [("connected", {}, int(bus.connection is not None))]
        )
        self.server = WebServer(tuple(listeners), self, limits, self.metrics)
        self._bus = bus
        self._registry = registry
        self._options = options
        self._limits = limits
        self._given_rights = rights
        self._rights_seen: Rights | None = None
        self._rights = Rights()
        self._credentials = credentials
        self._event_log = log
        self._keys = keys
        self._house: House | None = None
        self._fanout: Fanout | None = None
        self._states = States()
        self._connections: dict[Connection, None] = {}
        self._subscription: Subscription | None = None
        self._reading: asyncio.Task[None] | None = None
        self._last_id = ""
        self._news: set[asyncio.Task[bool]] = set()
        self._knowledge = Knowledge(
            registry,
            options.hostname or platform.node() or "localhost",
            _now_ms,
            lambda: log is not None,
            keys is not None,
            options.dialect_options,
        )
        self._routes = options.routes(self._knowledge)
        self._kind_routes = {kind: made(self._knowledge) for kind, made in options.kind_routes.items()}

    # -- life

    async def start(self) -> None:
        """Subscribe to the bus and listen.

        Raises:
            ConnectionFailed: If a port cannot be had.
            BusError: If the broker refuses.
        """
        number = self._options.number
        ids = IdClock(random.SystemRandom().randrange(RECORDERS) if number is None else number)
        self._ids = ids
        door = Doorkeeper(
            self._credentials,
            self.rights,
            self._options.token_key,
            self.metrics,
            most_tokens=self._limits.web_tokens,
            signer=self._options.signer,
        )
        door.start()
        self._door = door
        try:
            self._subscription = await self._bus.subscribe(".", queue_events=_QUEUE)
            await self.server.start()
        except BaseException:
            door.close()
            raise
        loop = asyncio.get_running_loop()
        self._fanout = Fanout(self._registry, self.server.outbox, self.metrics, loop.time)
        subscription = self._subscription
        house = House(
            self._bus,
            self._registry,
            self._limits,
            self.rights,
            door,
            self._fanout,
            ids,
            keys=self._keys,
            backlog=lambda: subscription.waiting,
            on_token_end=self._token_ended,
        )
        house.rooms.publish = self._publish_news
        if self._event_log is not None:
            house.history = History(
                self._event_log, self._registry, self._limits.web_replay, _now_ms, house.latest
            )
        self._house = house
        self._reading = asyncio.ensure_future(self._read(subscription))

    async def close(self) -> None:
        """Close all connections and stop."""
        await self.server.close()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        if self._subscription is not None:
            await self._subscription.close()
        if self._house is not None:
            self._house.door.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- rights

    def rights(self) -> Rights:
        """Return the rights that hold now, guests included."""
        given = self._given_rights()
        if given is not self._rights_seen:
            self._rights_seen = given
            self._rights = self._with_guests(given)
            if self._fanout is not None:
                self._fanout.changed()
        return self._rights

    def _with_guests(self, given: Rights) -> Rights:
        """Let guests read what is marked public, and let the owner of a socket be one."""
        role = given.roles.get("guest", BUILTIN_ROLES["guest"])
        public = tuple(
            kind for kind in sorted(self._registry.kinds) if self._registry.annotations(kind).public
        )
        roles = {**given.roles, "guest": replace(role, read=(*role.read, *public))}
        users = {**given.users, GUEST: ("guest",), OWNER: ("admin",)}
        assert isinstance(role, Role)
        return Rights(users, roles)

    def changed(self) -> None:
        """Take note that rights or event types may have changed."""
        self._rights_seen = None
        self.rights()
        if self._fanout is not None:
            self._fanout.changed()

    def _token_ended(self, text: str) -> None:
        for connection in list(self._connections):
            if connection.token == text:
                connection.expire()

    # -- events

    async def _read(self, subscription: Subscription) -> None:
        """Take events from the bus and give them away, a turn of the loop at a time."""
        fanout = self._fanout
        assert fanout is not None
        done = 0
        try:
            async for received in subscription.messages():
                self.rights()  # notices a change
                done += fanout.deliver(self._delivered(received)) + 20
                if done >= _TURN:
                    done = 0
                    self.server.outbox.flush()
                    await asyncio.sleep(0)
                elif not subscription.waiting:
                    self.server.outbox.flush()  # now rather than a turn of the loop later
        except BusError as error:
            _log.error("the gateway gets no more events: %s", error)

    def _delivered(self, received: Received) -> Delivered:
        event = received.event
        if event.kind == TOPIC_MESSAGE:
            return Delivered(event, "", 0)
        given = received.properties.get(LOG_ID)
        if isinstance(given, str):
            with contextlib.suppress(ValueError):
                return self._typed(received, LogId.parse(given))
        return self._typed(received, self._ids.next(_now_ms()))

    def _typed(self, received: Received, made: LogId) -> Delivered:
        event = received.event
        event_id = received.properties.get("cloudEvents_id")
        delivered = Delivered(
            event, str(made), made.ms, event_id=event_id if isinstance(event_id, str) else ""
        )
        annotations = self._registry.annotations(event.kind)
        if annotations.state:
            self._keep_state(delivered, annotations.key, annotations.operation, annotations.operations)
        return delivered

    def _keep_state(
        self, delivered: Delivered, key: str | None, operation: str | None, operations: Mapping[str, str]
    ) -> None:
        name = _text(delivered, key)
        if operation is not None and operations.get(_text(delivered, operation)) == "removed":
            self._states.remove(delivered.kind, name)
        else:
            self._states.put(delivered, name)

    # -- requests

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
            self.metrics.count("web_refused", reason=f"status {refused[0]}")
            return _words(*refused)
        if is_preflight(request.method, request.headers):
            return preflight(self._options.guard, request.headers, self._methods(kind, request.path, dialect))
        if request.path == "/healthz":
            return self._health(request.method)
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
        assert self._house is not None
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
        house = self._house
        assert house is not None
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
        assert house is not None

        async def run(link: Link) -> None:
            connection = Connection(house, self._states, session, link, access)
            self._connections[connection] = None
            try:
                await connection.run()
            finally:
                self._connections.pop(connection, None)

        return run

    async def _routed(self, kind: str, request: Request, access: Access) -> Answer:
        routes = self._routes if kind in ("http", "https") else self._kind_routes.get(kind, {})
        route = _route(routes, request.method, request.path)
        if route is None:
            allowed = [method for method, _ in _methods(routes, request.path)]
            if allowed:
                return Response(405, b"", "text/plain", {"Allow": ", ".join(sorted({*allowed, "HEAD"}))})
            return _words(404, "nothing is here")
        assert self._house is not None
        method = "GET" if request.method == "HEAD" else request.method
        answer = await route(
            replace(request, method=method), Hand(self._house, access, request.hello.address)
        )
        return self._streaming(answer, access) if isinstance(answer, EventStream) else answer

    def _publish_news(self, draft: EventDraft) -> None:
        """Publish an event in the gateway's own name."""
        event = self._registry.from_json(draft.kind, draft.fields)
        task = asyncio.ensure_future(self._bus.publish(event))
        self._news.add(task)
        task.add_done_callback(self._news_sent)

    def _news_sent(self, task: asyncio.Task[bool]) -> None:
        self._news.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("news of the gateway not published: %s", error)

    def _health(self, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            return Response(405, b"", "text/plain", {"Allow": "GET, HEAD"})
        if self._bus.connection is not None:
            return Response(200, b'{ "status": "ok" }\r\n')
        return Response(503, b'{ "status": "no broker" }\r\n')

    def _metrics_page(self, request: Request, access: Access) -> Response:
        local = request.hello.secure and not request.hello.tls
        if not local and not access.may_call(METRICS):
            return _unauthorized("the right web.metrics is needed") if not access.user else _words(403, "no")
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", "text/plain", {"Allow": "GET, HEAD"})
        body, content_type = exposed(self.measured.read(), request.headers.get("accept", ""))
        return Response(200, body, content_type)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _text(delivered: Delivered, name: str | None) -> str:
    if name is None:
        return ""
    for element in delivered.event.root[0]:
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name:
            return element.text or ""
    return ""


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
