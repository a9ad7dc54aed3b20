"""An agent among the others: joins the tables and the life cycle to a bus.

All of it runs on the loop of the bus. What is decided is decided in `Lifecycle` and in the tables; here
events are taken apart, believed or not, and sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psutil
from lxml import etree

from clacks.agent import notices
from clacks.agent.clients import Client, ClientTable
from clacks.agent.lifecycle import Act, Lifecycle, State
from clacks.agent.nodes import NodeTable, TableFull
from clacks.amqp.profiles import UserTrust
from clacks.broker.drops import Drops
from clacks.bus import Bus, BusState, Received, StateChange, Subscription
from clacks.common.errors import BusError, EventError, LinkRefused
from clacks.common.limits import Limits
from clacks.common.presence import (
    CLIENTS_PROPERTY,
    INSTANCE_PROPERTY,
    MOST_WANTED,
    SPEAKERS,
    WANTED_PROPERTY,
    speaker_of,
)
from clacks.common.rights import Rights
from clacks.common.schema import SchemaRegistry

__all__ = ["KINDS", "Presence", "moment"]

_log = logging.getLogger(__name__)

KINDS: Final = frozenset(SPEAKERS | {"ClientPoll"})
"""The event types that an agent listens to."""

_TICK: Final = 1.0  # seconds between two looks for those who fell silent
_READY: Final = 15.0  # seconds after which an agent serves although it did not hear itself
_SLOW_RETRY: Final = 30.0
_SHOWN: Final = 10  # ids in one line of the log
_COMPLAIN: Final = 60.0  # seconds between two lines about one and the same trouble


class Presence:
    """One agent's place on the bus.

    Args:
        bus: A started bus.
        registry: The event types.
        node: The id of this agent.
        limits: How many nodes, clients and methods are kept.
        rights: Returns the rights of now: who may speak for whom, where the broker does not see to it.
        trust_users: Believe the ``user-id`` of events although the broker does not vouch for it.
        revision: Returns a value that changes with the capabilities.
        content: Returns the content of NodeCapabilities.
        idle: Returns how many workers are free.
        learn: Asks another agent for its clients; tells whether that went well.

    Attributes:
        nodes: The nodes of the domain.
        clients: The clients of the domain.
        life: What is said when.
        instance: Tells this start of the agent from every other.
    """

    def __init__(
        self,
        bus: Bus,
        registry: SchemaRegistry,
        node: str,
        limits: Limits,
        *,
        rights: Callable[[], Rights],
        trust_users: bool,
        revision: Callable[[], object],
        content: Callable[[], Mapping[str, Any]],
        idle: Callable[[], int],
        learn: Callable[[], Awaitable[bool]],
    ) -> None:
        self.nodes = NodeTable(most=limits.known_nodes)
        self.clients = ClientTable(most=limits.known_clients)
        self.life = Lifecycle()
        self.instance = secrets.token_hex(8)
        self.node = node
        self._bus = bus
        self._registry = registry
        self._limits = limits
        self._rights = rights
        self._trust_users = trust_users
        self._revision = revision
        self._content = content
        self._idle = idle
        self._learn = learn
        self._drops = Drops(bus.metrics, "announcements_dropped", "announcement dropped")
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._learning: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = lambda: None
        self._subscription: Subscription | None = None
        self._sent: dict[str, float] = {}
        self._latency = 0.0
        self._said: object = None
        self._complained = float("-inf")
        self._hear: Mapping[str, Callable[[str, str, etree._Element, Received, float], None]] = {
            "NodeAnnounce": self._node_announced,
            "NodeCapabilities": self._node_capable,
            "NodeStatus": self._node_status,
            "NodeLeave": self._node_left,
            "ClientAnnounce": self._client_announced,
            "ClientSignature": self._client_signed,
            "ClientPing": self._client_pinged,
            "ClientLeave": self._client_left,
            "UserSession": self._user_session,
        }

    # -- life

    async def start(self) -> None:
        """Listen, announce this agent, and return when it has heard its own capabilities.

        Raises:
            LinkRefused: The broker does not let this login read or publish life-cycle events.
        """
        self._subscription = await self._listen()
        self._forget = self._bus.on_state(self._state)
        self.life.connected(self._now())
        self._tasks = [asyncio.ensure_future(self._hear_all()), asyncio.ensure_future(self._live())]
        try:
            async with asyncio.timeout(_READY):
                await self._ready.wait()
        except TimeoutError:
            _log.warning("own capabilities did not come back, serving all the same node=%s", self.node)

    async def close(self) -> None:
        """Say that this agent leaves, and listen no more. Calling it again does nothing."""
        tasks, self._tasks = self._tasks, []
        if self._learning is not None:
            tasks.append(self._learning)
            self._learning = None
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._forget()
        for act in self.life.stop():
            await self._do(act)
        if self._subscription is not None:
            await self._subscription.close()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _listen(self) -> Subscription:
        return await self._bus.subscribe(
            kinds=KINDS, queue_events=self._limits.presence_events, queue_bytes=self._limits.queue_bytes * 4
        )

    def _state(self, change: StateChange) -> None:
        if change.state is BusState.CONNECTED:
            # What happened meanwhile was not heard: nobody is to blame for silence, and we ask anew.
            now = self._now()
            self.nodes.forgive(now)
            self.clients.forgive(now)
            self.life.connected(now)
        elif change.state is BusState.RECONNECTING and self.life.state is not State.AWAY:
            self.life.lost()
        self._changed.set()

    # -- saying

    async def _live(self) -> None:
        looked = self._now()
        while True:
            now = self._now()
            if now - looked > 10 * _TICK:
                # This process was stopped, or its machine slept: who is silent may have spoken meanwhile.
                self.nodes.forgive(now)
                self.clients.forgive(now)
            looked = now
            if self.life.state in (State.JOINING, State.READY):
                self._expire(now)
                if self._revision() != self._said and self.life.state is State.READY:
                    self._said = self._revision()
                    self.life.repeat(now, len(self.nodes))
                for act in self.life.due(now, self._expected(now), self.clients.strangers):
                    await self._do(act)
            self._changed.clear()
            wake = min(self.life.next or now + _TICK, now + _TICK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake):
                    await self._changed.wait()

    async def _do(self, act: Act) -> None:
        content: Mapping[str, Any]
        match act:
            case Act.LEARN:
                if self._learning is None or self._learning.done():
                    self._learning = asyncio.ensure_future(self._learn_clients())
                return
            case Act.CAPABILITIES:
                self._said = self._revision()
                content = self._content()
            case Act.STATUS:
                content = {
                    "Id": self.node,
                    "Load": round(psutil.getloadavg()[0] / (os.cpu_count() or 1), 4),
                    "Latency": round(self._latency, 6),
                    "Workers": self._idle(),
                }
            case Act.POLL | Act.SEEK:
                content = {}
            case _:
                content = {"Id": self.node}
        properties: dict[str, Any] = {INSTANCE_PROPERTY: self.instance}
        kind = act.value
        if act in (Act.POLL, Act.SEEK):
            kind = "ClientPoll"
            wanted = self.clients.wanted(MOST_WANTED) if act is Act.SEEK else []
            if wanted:
                properties[WANTED_PROPERTY] = " ".join(wanted)
            expected = len(wanted) or self._expected(self._now())
            properties[CLIENTS_PROPERTY] = expected
            _log.info("clients asked to announce themselves expected=%d all=%s", expected, not wanted)
        try:
            event = self._registry.from_dict(kind, content)
            self._sent[kind] = self._now()
            await self._bus.publish(event, properties=properties)
        except LinkRefused as error:
            self._complain("this login may not publish %s: %s", kind, error)
        except (EventError, BusError) as error:
            _log.warning("%s could not be sent: %s", kind, error)

    def _expected(self, now: float) -> int:
        """Return how many clients there seem to be."""
        return self.clients.expected(now, max(self.life.connected_at, self.life.met_at))

    async def _learn_clients(self) -> None:
        learned = await self._learn()
        self.life.learned(self._now(), len(self.nodes), all_of_them=learned)
        self._changed.set()

    def _complain(self, words: str, *values: object) -> None:
        now = self._now()
        if now - self._complained >= _COMPLAIN:
            self._complained = now
            _log.error(words, *values)

    def _expire(self, now: float) -> None:
        for node in self.nodes.expire(now):
            _log.warning("node is silent, dropped node=%s silent_s=%.0f", node.id, now - node.heard)
        gone = self.clients.expire(now)
        if gone:
            shown = ",".join(client.id for client in gone[:_SHOWN])
            _log.info("clients are silent, dropped n=%d clients=%s", len(gone), shown)

    # -- hearing

    async def _hear_all(self) -> None:
        assert self._subscription is not None
        while True:
            try:
                async for received in self._subscription.messages():
                    self._take(received)
                return
            except LinkRefused as error:
                _log.error("life-cycle events cannot be read any more, trying again reason=%s", error)
            self._subscription = None
            while self._subscription is None:
                await asyncio.sleep(_SLOW_RETRY)
                with contextlib.suppress(LinkRefused):
                    self._subscription = await self._listen()
            self.life.connected(self._now())

    def _take(self, received: Received) -> None:
        event, now = received.event, self._now()
        found = received.properties.get(INSTANCE_PROPERTY)
        instance = found if isinstance(found, str) else ""
        speaker = speaker_of(event)
        reason = None if instance == self.instance else self._disbelief(received, speaker)
        if reason is not None:
            self._drops.count(now, reason, received.user or "", f"{event.kind} of {speaker}")
            return
        if speaker is None:
            if instance != self.instance:
                said = received.properties.get(CLIENTS_PROPERTY)
                expected = said if isinstance(said, int) else 0
                wanted = received.properties.get(WANTED_PROPERTY)
                if isinstance(wanted, str):
                    missed = self.clients.wanted(MOST_WANTED) or ["more than it names"]
                    self.life.heard_poll(now, expected, ours=set(wanted.split()).issuperset(missed))
                else:
                    self.life.heard_poll(now, max(expected, len(self.clients)))
            return
        try:
            self._hear[event.kind](speaker, instance, event.root[0], received, now)
        except TableFull as error:
            self._drops.count(now, "table full", received.user or "", str(error))
        self._changed.set()

    def _disbelief(self, received: Received, speaker: str | None) -> str | None:
        """Return why this event does not count, or None if it does."""
        profile = self._bus.profile
        if profile is not None and profile.checked:
            return None  # the broker saw to it
        vouched = self._trust_users or (profile is not None and profile.user_id is UserTrust.VERIFIED)
        if received.user is None or not vouched:
            return "nobody vouches for the sender"
        rights = self._rights()
        if not rights.may_publish(received.user, received.event.kind):
            return "no right"
        if speaker is not None and not rights.may_announce(received.user, speaker):
            return "foreign id"
        return None

    def _own(self, id_: str, instance: str, kind: str, now: float) -> bool:
        """Note an event under our own id; tell whether it is ours."""
        if id_ != self.node:
            node = self.nodes.get(id_)
            if node is None or not node.came_after(self.life.connected_at):
                self.life.heard_node()
            return False
        if instance == self.instance:
            sent = self._sent.pop(kind, None)
            if sent is not None:
                self._latency = now - sent
            return True
        self._complain("another agent lives under our id, give one of them another name node=%s", id_)
        return False

    def _node_announced(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        known = self.nodes.get(id_)
        self.nodes.announced(id_, instance, now)
        if known is None or known.instance != instance:
            _log.info("node joined node=%s", id_)
        if not self._own(id_, instance, "NodeAnnounce", now):
            self.life.heard_announce(now, len(self.nodes))

    def _node_capable(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        methods = tuple(notices.node_methods(body))
        if len(methods) > self._limits.methods:
            self._drops.count(now, "too many methods", received.user or "", f"{id_} has {len(methods)}")
            self.nodes.refuse(id_, instance, now)
            return
        self.nodes.capable(id_, instance, methods, notices.node_objects(body), notices.gateway(body), now)
        if self._own(id_, instance, "NodeCapabilities", now) and self.life.returned(now, len(self.nodes)):
            _log.info("agent is ready node=%s", id_)
            self._ready.set()

    def _node_status(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        stranger = id_ not in self.nodes
        node = self.nodes.status(id_, instance, *notices.status(body), now)
        own = self._own(id_, instance, "NodeStatus", now)
        if stranger and not own:
            self.life.met(now, len(self.nodes))
        if node is not None and node.methods is None and not own and not node.refused:
            self.life.miss_node(now, len(self.nodes))

    def _node_left(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        own = self._own(id_, instance, "NodeLeave", now)
        if not own and self.nodes.left(id_, instance, now) is not None:
            _log.info("node left node=%s", id_)

    def _client_announced(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        methods = tuple(notices.client_methods(body))
        if len(methods) > self._limits.methods:
            self._drops.count(now, "too many methods", received.user or "", f"{id_} has {len(methods)}")
            return
        self.clients.announced(
            id_, instance, notices.text(body, "Name"), received.user, notices.devices(body), methods, now
        )
        _log.debug("client joined client=%s", id_)

    def _client_signed(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        methods = tuple(notices.client_methods(body))
        if len(methods) > self._limits.methods:
            self._drops.count(now, "too many methods", received.user or "", f"{id_} has {len(methods)}")
            return
        self._look_at(self.clients.signed(id_, instance, methods, now), now)

    def _client_pinged(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        self._look_at(self.clients.heard(id_, instance, now), now)

    def _client_left(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        if self.clients.left(id_, instance) is not None:
            _log.debug("client left client=%s", id_)

    def _user_session(
        self, id_: str, instance: str, body: etree._Element, received: Received, now: float
    ) -> None:
        self._look_at(self.clients.session(id_, instance, notices.sessions(body), now), now)

    def _look_at(self, client: Client | None, now: float) -> None:
        """Have a client announce itself that lives and never did; one that is silent again is not sought."""
        if client is None or client.known:
            return
        if self._learning is None or self._learning.done():
            self.life.miss_client(now, len(self.nodes))

    # -- showing; from any thread

    def shown_nodes(self, now: float) -> dict[str, dict[str, Any]]:
        """Return the nodes as ``getNodes`` shows them."""
        found = {}
        for node in sorted(self.nodes, key=lambda node: node.id):
            facts: dict[str, Any] = {
                "since": moment(node.since, now),
                "heard": moment(node.heard, now),
                "load": node.load,
                "latency": node.latency,
                "workers": node.workers,
                "methods": None if node.methods is None else len(node.methods),
                "gateway": node.gateway,
            }
            if self.nodes.contested(node, now):
                facts["contested"] = True
            found[node.id] = facts
        return found

    def shown_methods(self) -> dict[str, dict[str, Any]]:
        """Return the methods of all nodes but this one, as ``getMethods`` shows them."""
        found: dict[str, dict[str, Any]] = {}
        for node in self.nodes:
            if node.id == self.node or node.methods is None:
                continue
            for item in node.methods.items:
                facts = found.get(item.name)
                if facts is None:
                    found[item.name] = {
                        "signature": item.signature,
                        "type": item.type,
                        "queue": item.target if item.queue_required else None,
                        "documentation": item.documentation,
                        "nodes": [node.id],
                    }
                else:
                    facts["nodes"].append(node.id)
        return found


def moment(when: float, now: float) -> str:
    """Return a time of the monotonic clock as people read it: UTC, ISO 8601."""
    return (
        (datetime.now(UTC) - timedelta(seconds=now - when))
        .isoformat(timespec="seconds")
        .replace("+00:00", "Z")
    )
