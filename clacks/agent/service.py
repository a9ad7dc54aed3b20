"""The agent as a service: its commands on the bus, its place among the others, and files that are read again.

What commands do is in ``command.py``, where they are carried out in ``forwarding.py``, who is there in
``presence.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from clacks.agent import notices
from clacks.agent.client_commands import ClientCommands, learn_from
from clacks.agent.clients import ClientTable
from clacks.agent.command import Command, CommandRegistry, CommandType
from clacks.agent.forwarding import Forwarder
from clacks.agent.nodes import NodeTable
from clacks.agent.presence import Presence
from clacks.bus import Bus, Service
from clacks.bus.from_threads import LOOP_TIME, publish_from_thread
from clacks.common.address import command_address
from clacks.common.errors import CommandError, SettingsError
from clacks.common.event import Event
from clacks.common.jsonrpc import UNAVAILABLE
from clacks.common.measured import Measured, Sample
from clacks.common.plugins import PluginContext, PluginFailure, register_plugins
from clacks.common.rights import Rights, parse_rights
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings

__all__ = ["PLUGINS", "Agent", "RightsFile"]

_log = logging.getLogger(__name__)

PLUGINS: Final = "clacks.commands"
"""Entry point group of commands that agents load."""

LOOK_AGAIN = 1.0
"""Seconds between two looks at the rights file and the schema folders: one listing of each folder."""


class RightsFile:
    """The rights as a file says them, with users that are known besides.

    Args:
        path: The file; that it is missing means that nobody but ``users`` has rights.
        users: Roles of users that no file names, such as the one that ``clacks up --user`` makes.
    """

    def __init__(self, path: Path, users: Mapping[str, Iterable[str]] | None = None) -> None:
        self._path = path
        self._users = {user: tuple(roles) for user, roles in (users or {}).items()}
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        """Tell whether the file changed since it was read."""
        return self._look() != self._seen

    def read(self) -> Rights:
        """Read the file.

        Raises:
            SettingsError: If it is there and cannot be used.
        """
        self._seen = self._look()
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise SettingsError(str(self._path), reason) from error
        rights = parse_rights(text, str(self._path))
        for user, roles in self._users.items():
            rights = rights.with_user(user, roles)
        return rights

    def _look(self) -> tuple[int, int, int] | None:
        try:
            state = self._path.stat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_size, state.st_ino


class Agent:
    """A node that serves commands. Use it as context manager, on the loop of its bus.

    It serves ``{domain}.command.{queue}`` together with the other agents, and
    ``{domain}.command.{queue}.{node}`` alone. Commands run in threads; what this node lacks is forwarded to
    one that has it. It announces itself, and knows the other nodes and the clients. When the rights file or a
    schema changes it is read again within a second or two; a file that cannot be used leaves in force what
    was there before.

    Args:
        bus: A started bus; its login needs the rights of the role ``agent``.
        registry: The event types.
        settings: ``node``, ``queue``, ``workers`` and where the rights file is.
        users: Roles of users that the rights file need not name.

    Attributes:
        node: The name of this node.
        commands: What it can do; register more at any time.
        on_rights: Called on the loop with new rights, for a broker in the same process.
        on_schemas: Called on the loop when event types came, went or changed.
        gateway: Where its gateway listens, or None; when it changes the nodes are told within seconds.
        refused_plugins: The plug-ins that could not be loaded.
        measured: What ``getMetrics`` tells; other parts of the process may be added.

    Example:
        >>> async with Bus(url) as bus, Agent(bus, SchemaRegistry(), Settings()) as agent:  # doctest: +SKIP
        ...     agent.commands.register(Lamp())
        ...     await asyncio.Event().wait()
    """

    def __init__(
        self,
        bus: Bus,
        registry: SchemaRegistry,
        settings: Settings,
        *,
        users: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.node = settings.node or platform.node() or "node"
        self.gateway: str | None = None
        self.refused_plugins: list[PluginFailure] = []
        self.measured = Measured()
        self.measured.add("agent", bus.metrics, self._gauges)
        self.commands = CommandRegistry(
            publish=self._publish,
            rights=Rights(),
            registry=registry,
            node=self.node,
            nodes=self._shown_nodes,
            elsewhere=self._shown_methods,
        )
        self.commands.record = self._record
        self.commands.register(self)
        self.on_rights: Callable[[Rights], object] | None = None
        self.on_schemas: Callable[[], object] | None = None
        self._bus = bus
        self._registry = registry
        self._settings = settings
        self._rights = RightsFile(settings.rights_file, users)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._services: list[Service] = []
        self._presence: Presence | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve, and announce this node; return when it has heard its own announcement.

        Raises:
            SettingsError: If the rights file cannot be used.
            LinkRefused: If the broker does not let this login serve commands, or be a node.
        """
        self._loop = asyncio.get_running_loop()
        self.commands.rights = await asyncio.to_thread(self._rights.read)
        await asyncio.to_thread(self._registry.load)
        await asyncio.to_thread(self._load_plugins)
        presence = self._presence = self._place()
        self.commands.register(self._client_commands(presence))
        forwarder = Forwarder(
            self._bus,
            node=self.node,
            queue=self._settings.queue,
            login=self._bus.user,
            commands=self.commands,
            nodes=presence.nodes,
            address=self._address,
            loop=self._running_loop,
        )
        try:
            # Two queues, two services: a call that came to this node alone is not forwarded any further.
            for address, handler in (
                (self._address(self._settings.queue, self.node), forwarder.here),
                (command_address(self._bus.domain, self._settings.queue), forwarder.shared),
            ):
                workers = self._settings.workers
                self._services.append(await self._bus.serve(handler, address=address, workers=workers))
            await presence.start()
        except BaseException:
            await self.close()
            raise
        self._watching = asyncio.ensure_future(self._watch())
        _log.info("agent serving node=%s queue=%s", self.node, self._settings.queue)

    async def close(self) -> None:
        """Say good-bye, take no more calls and let the running ones finish. Calling it again does nothing."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        # First the others are told, so that they forward nothing more.
        presence, self._presence = self._presence, None
        if presence is not None:
            await presence.close()
        services, self._services = self._services, []
        if services:
            await asyncio.gather(*(service.close() for service in services))
            _log.info("agent left node=%s", self.node)

    async def __aenter__(self) -> Agent:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @Command
    def reload(self) -> dict[str, Any]:
        """Read the rights file and the schemas again, now; tell what changed and which files are refused."""
        try:
            rights = self._reread_rights()
        except SettingsError as error:
            raise CommandError(UNAVAILABLE, f"the rights file stays as it was: {error.reason}") from error
        schemas = self._reread_schemas()
        refused = [
            {"file": Path(error.file).name, "reason": error.reason, "line": error.line}
            for error in self._registry.refused
        ]
        return {"rights": rights, "schemas": schemas, "refused": refused}

    @Command(type=CommandType.CUMULATIVE)
    def getMetrics(self) -> dict[str, Any]:
        """Return what the process of each agent measures: ``numbers`` and ``histograms``, lists of name,
        labels and value."""
        # Gauges look into tables that belong to the loop.
        asked = asyncio.run_coroutine_threadsafe(self._read_metrics(), self._running_loop())
        try:
            return asked.result(LOOP_TIME)
        except TimeoutError as error:  # the loop is stuck or has ended
            asked.cancel()
            raise CommandError(UNAVAILABLE, "the agent does not come to it") from error

    async def _read_metrics(self) -> dict[str, Any]:
        return self.measured.read().to_json()

    def _gauges(self) -> Iterator[Sample]:
        yield "connected", {}, int(self._bus.connection is not None)
        yield "commands_running", {}, sum(service.running for service in self._services)
        if self._presence is not None:
            yield "nodes", {}, len(self._presence.nodes)
            yield "clients", {}, len(self._presence.clients)

    @property
    def nodes(self) -> NodeTable:
        """The nodes of the domain; while the agent runs."""
        assert self._presence is not None
        return self._presence.nodes

    @property
    def clients(self) -> ClientTable:
        """The clients of the domain; while the agent runs."""
        assert self._presence is not None
        return self._presence.clients

    def _place(self) -> Presence:
        settings = self._settings
        return Presence(
            self._bus,
            self._registry,
            self.node,
            settings.limits,
            rights=lambda: self.commands.rights,
            trust_users=settings.trust_users,
            revision=lambda: (len(self.commands.commands), self.gateway),
            content=lambda: notices.capabilities(
                self.node, notices.own_methods(self.commands.commands, settings.queue), self.gateway
            ),
            idle=lambda: max(0, settings.workers - sum(service.running for service in self._services)),
            learn=self._learn,
        )

    def _client_commands(self, presence: Presence) -> ClientCommands:
        return ClientCommands(
            self._bus,
            self._bus.domain,
            presence.clients,
            rights=lambda: self.commands.rights,
            registry=self._registry,
            publish=self._publish,
            loop=self._running_loop,
            login=self._bus.user,
        )

    def _load_plugins(self) -> None:
        context = PluginContext(self.node, self._registry, self._publish)
        _, self.refused_plugins = register_plugins(
            self.commands.register, PLUGINS, self._settings.plugins, context
        )

    async def _learn(self) -> bool:
        presence = self._presence
        if presence is None:
            return False
        life = presence.life
        return await learn_from(
            self._bus,
            presence.nodes,
            presence.clients,
            self.node,
            self._address,
            life.met_at,
            life.connected_at,
        )

    def _address(self, queue: str, node: str) -> str:
        return command_address(self._bus.domain, queue, node)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop

    def _shown_nodes(self) -> dict[str, dict[str, Any]]:
        presence = self._presence
        if presence is None or self._loop is None:
            return {self.node: {}}
        return presence.shown_nodes(self._loop.time())

    def _shown_methods(self) -> dict[str, dict[str, Any]]:
        return self._presence.shown_methods() if self._presence is not None else {}

    def _record(self, event: Event, user: str) -> str:
        """Have another agent record an event of a user, from the worker thread of a command.

        Whether the user may publish it was decided here; for that agent it is ours.
        """
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._bus.publish(event, stored=True), self._loop).result()

    def _publish(self, event: Event) -> None:
        """Send an event from the worker thread of a command."""
        assert self._loop is not None
        publish_from_thread(self._bus, self._loop, event)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            await asyncio.to_thread(self._look_again)

    def _look_again(self) -> None:
        try:
            if self._rights.changed():
                self._reread_rights()
        except SettingsError as error:
            _log.error("rights not read again, the old ones stay: %s", error)
        self._reread_schemas()

    # Both run in threads: reading files takes time.

    def _reread_rights(self) -> bool:
        """Read the rights file and tell whether it says something else now. Raises SettingsError."""
        before, after = self.commands.rights, self._rights.read()
        if after == before:
            return False
        self.commands.rights = after
        _log.info("rights read again file=%s", self._settings.rights_file)
        if self.on_rights is not None:
            self._soon(self.on_rights, after)
        return True

    def _reread_schemas(self) -> bool:
        """Read the schemas if a file changed and tell whether one did."""
        if not self._registry.reload():
            return False
        _log.info("schemas read again types=%s", len(self._registry.kinds))
        if self.on_schemas is not None:
            self._soon(self.on_schemas)
        return True

    def _soon(self, function: Callable[..., object], *args: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(function, *args)
