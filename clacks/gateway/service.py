"""The gateway as a service: one connection to the bus, files that are read again, a web server.

What comes over the web goes to the `reception`, what comes from the bus to `fanout`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, Self

from clacks.bus import Bus, Received, Subscription
from clacks.bus.joining import LOG_ID
from clacks.common.credentials import Credentials as Known
from clacks.common.errors import BusError
from clacks.common.limits import Limits
from clacks.common.measured import Measured
from clacks.common.metrics import Metrics
from clacks.common.rights import BUILTIN_ROLES, Rights, Role
from clacks.common.schema import SchemaRegistry
from clacks.dialects.access import GUEST
from clacks.dialects.actions import (
    EventDraft,
)
from clacks.dialects.delivered import TOPIC_MESSAGE, Delivered
from clacks.dialects.session import Knowledge
from clacks.gateway.acting import House
from clacks.gateway.fanout import Fanout
from clacks.gateway.history import History, Readable
from clacks.gateway.logins import OWNER, Doorkeeper
from clacks.gateway.options import Options
from clacks.gateway.reception import Reception
from clacks.net.web import WebListener, WebServer
from clacks.store.api import KeyValue
from clacks.store.ids import RECORDERS, IdClock, LogId

__all__ = ["Gateway", "Options"]

_log = logging.getLogger(__name__)

_TURN: Final = 20_000
"""Deliveries after which the loop gets a turn to write them."""
_QUEUE: Final = 20_000
"""Events from the bus that may wait: publishers through this gateway wait long before."""


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
        reception: Judges what comes to the server.
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
        knowledge = Knowledge(
            registry,
            options.hostname or platform.node() or "localhost",
            _now_ms,
            lambda: log is not None,
            keys is not None,
            options.dialect_options,
        )
        self.reception = Reception(
            options, knowledge, self.metrics, self.measured, lambda: bus.connection is not None
        )
        self.server = WebServer(tuple(listeners), self.reception, limits, self.metrics)
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
        self._door: Doorkeeper | None = None
        self._fanout: Fanout | None = None
        self._subscription: Subscription | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news: set[asyncio.Task[bool]] = set()

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
        self.reception.house = house
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
        if self._door is not None:
            self._door.close()

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
        for connection in list(self.reception.connections):
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
            self.reception.states.remove(delivered.kind, name)
        else:
            self.reception.states.put(delivered, name)

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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _text(delivered: Delivered, name: str | None) -> str:
    if name is None:
        return ""
    for element in delivered.event.root[0]:
        if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name:
            return element.text or ""
    return ""
