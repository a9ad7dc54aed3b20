"""A broker, a bus and a gateway in one loop, and clients that speak to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import aiohttp

from clacks.agent.command import CommandRegistry
from clacks.agent.recording import Recorder
from clacks.broker.broker import Broker
from clacks.bus import Bus
from clacks.common.credentials import Credentials, make_credentials
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.metrics import Metrics
from clacks.common.rights import Rights, parse_rights
from clacks.dialects.access import RateLimit
from clacks.dialects.delivered import Delivered
from clacks.dialects.eventhub import EVENTHUB
from clacks.dialects.exchange import Routes
from clacks.gateway.history import Readable
from clacks.gateway.service import Gateway, Options
from clacks.gateway.tokens import TokenKey, make_token
from clacks.net.client import LocalConnector
from clacks.net.listener import BrokerServer
from clacks.net.web import WebListener
from clacks.store.api import NewEntry
from clacks.store.sqlite import SqliteStore
from tests.bus.house import LIMIT, REGISTRY, phone, scenario, until

__all__ = ["LIMIT", "REGISTRY", "Client", "Served", "gateway", "phone", "scenario", "until"]

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = TokenKey("HS256", SECRET)

RIGHTS = """
[users.admin]
roles = ["admin"]
[users.ann]
roles = ["topics"]
[users.bob]
roles = ["reader"]
[roles.topics]
publish = ["TopicMessage", "PhoneStatus"]
read = ["TopicMessage", "PhoneStatus"]
commands = ["web.readKeys", "web.writeKeys", "web.xquery"]
"""


class Client:
    """A WebSocket client that speaks JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.number = 0
        self.heard: list[Any] = []

    async def send(self, value: Any) -> None:
        await self.socket.send_str(value if isinstance(value, str) else json.dumps(value))

    async def hear(self) -> Any:
        """Return the next message."""
        async with asyncio.timeout(LIMIT):
            message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def ask(self, method: str, params: Any = None, **named: Any) -> Any:
        """Call a method; what comes before the answer is kept in ``heard``."""
        self.number += 1
        body = {
            "jsonrpc": "2.0",
            "id": self.number,
            "method": method,
            "params": named if params is None else params,
        }
        await self.send(body)
        while True:
            answer = await self.hear()
            if answer["id"] == self.number and not (
                isinstance(answer.get("result"), dict) and "message" in answer["result"]
            ):
                return answer
            self.heard.append(answer)

    async def message(self) -> Any:
        """Return the next delivered message."""
        return self.heard.pop(0) if self.heard else await self.hear()

    async def closed(self) -> int | None:
        """Wait for the end; return the close code."""
        async with asyncio.timeout(LIMIT):
            while not self.socket.closed:
                await self.socket.receive()
        return self.socket.close_code


@dataclass
class Served:
    """What a test needs."""

    gateway: Gateway
    bus: Bus
    broker: Broker
    port: int
    http: aiohttp.ClientSession
    rights: list[Rights]
    store: SqliteStore | None = None
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def url(self, path: str = "/", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def token(
        self,
        user: str | None = "ann",
        read: Iterable[str] | None = ("#", "events/#"),
        write: Iterable[str] | None = ("#", "events/#"),
        *,
        seconds: float | None = 3600,
        limits: Iterable[RateLimit] = (),
    ) -> str:
        return make_token(
            KEY,
            user=user,
            now=time.time(),
            seconds=seconds,
            read=None if read is None else list(read),
            write=None if write is None else list(write),
            limits=list(limits),
        )

    async def connect(
        self, path: str = "/eventhub", *, headers: Mapping[str, str] | None = None, **token: Any
    ) -> Client:
        """Connect with a token."""
        if headers is None:
            headers = {"Authorization": self.token(**token)}
        socket = await self.stack.enter_async_context(
            self.http.ws_connect(self.url(path), headers=headers, max_msg_size=0)
        )
        return Client(socket)


@contextlib.asynccontextmanager
async def gateway(
    *,
    limits: Limits = DEFAULT_LIMITS,
    recording: bool | Literal["agent"] = False,
    no_auth: bool = False,
    listeners: Iterable[WebListener] = (),
    routes: Routes | None = None,
    options: Mapping[str, Any] | None = None,
    known: Credentials | None = None,
) -> AsyncIterator[Served]:
    """Run everything on loopback; with ``recording`` topic messages and events are in a log.

    With ``"agent"`` the recorder of the agent keeps it, on a bus of its own, as in ``clacks up``.
    """
    rights = [parse_rights(RIGHTS)]
    users: dict[str, Any] = {}
    for name in ("admin", "ann", "bob"):
        users.update(make_credentials(name, "secret").users)
    credentials = Credentials(users) if known is None else known
    own = rights[0].with_user("clacks:gateway", ("gateway",)).with_user("clacks:agent", ("agent",))
    broker = Broker(REGISTRY, own, limits)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            BrokerServer(broker, lambda: credentials, host="127.0.0.1", port=0)
        )

        async def local_bus(user: str) -> Bus:
            connector = LocalConnector(lambda: server.local_socket(user), user)
            return await stack.enter_async_context(
                Bus("amqp://localhost/org.clacks", registry=REGISTRY, connector=connector, limits=limits)
            )

        bus = await local_bus("clacks:gateway")
        store: SqliteStore | None = None
        log: Readable | None = None
        if recording:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            store = await stack.enter_async_context(SqliteStore(Path(folder) / "log.db", sync="normal"))
            log = store.log
            if recording == "agent":
                commands = CommandRegistry(publish=lambda event: None, rights=own, registry=REGISTRY)
                agent_bus = await local_bus("clacks:agent")
                recorder = Recorder(agent_bus, REGISTRY, store, commands=commands, node="here")
                log = (await stack.enter_async_context(recorder)).log
            else:
                stack.push_async_callback(_cancelled, asyncio.create_task(_record(bus, store)))
        table = {"/eventhub": EVENTHUB, "/eventhub/": EVENTHUB}
        made = Options(
            paths=table,
            kinds={"eventhub": {"/": EVENTHUB}},
            routes=lambda knowledge: routes or {},
            no_auth=no_auth,
            token_key=KEY,
        )
        service = Gateway(
            bus,
            REGISTRY,
            replace(made, **(options or {})),
            [WebListener("http", "127.0.0.1", 0), *listeners],
            limits=limits,
            credentials=lambda: credentials,
            rights=lambda: rights[0],
            log=log,
            keys=store.values if store is not None else None,
            metrics=Metrics(),
        )
        await stack.enter_async_context(service)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        inner = await stack.enter_async_context(contextlib.AsyncExitStack())
        yield Served(service, bus, broker, service.server.ports[0][1], http, rights, store, inner)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _record(bus: Bus, store: SqliteStore) -> None:
    """Record what is on the bus, as the recording agent does."""
    subscription = await bus.subscribe(".", queue_events=10_000)
    entries: list[NewEntry] = []
    async for received in subscription.messages():
        event = received.event
        key, expires = None, None
        if event.kind == "TopicMessage":
            key = Delivered(event, "", 0).topic
            ttl = event.root[0].findtext("{*}Ttl")
            if ttl is not None:
                expires = int(time.time() * 1000 + float(ttl) * 1000)
        entries.append(
            NewEntry(
                str(received.properties["cloudEvents_id"]),
                event.kind,
                str(received.properties["cloudEvents_source"]),
                int(time.time() * 1_000_000),
                event.xml,
                user=received.user,
                key=key,
                expires=expires,
            )
        )
        if not subscription.waiting or len(entries) >= 500:
            batch, entries = entries, []
            await store.log.append(batch)
