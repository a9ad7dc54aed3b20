"""The client as a service: it announces itself, answers polls, serves its commands, says who is logged on.

When to say what is in ``lifecycle.py``, what to say in ``announcement.py``; here both meet the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import logging
import platform
import secrets
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final

from clacks.bus import Bus, BusState, Service, StateChange, Subscription
from clacks.bus.from_threads import publish_from_thread
from clacks.client import desktop, machine
from clacks.client.announcement import NetworkDevice, announcement
from clacks.client.commands import BasicCommands, NotifyCommand
from clacks.client.lifecycle import Act, Lifecycle
from clacks.client.sessions import sessions
from clacks.common.address import client_address
from clacks.common.command import CommandTable
from clacks.common.errors import BusError, CommandError, InvalidEvent, LinkRefused
from clacks.common.event import Event
from clacks.common.jsonrpc import FORBIDDEN, Request
from clacks.common.plugins import PluginContext, PluginFailure, register_plugins
from clacks.common.presence import CLIENTS_PROPERTY, INSTANCE_PROPERTY, WANTED_PROPERTY
from clacks.common.schema import SchemaRegistry
from clacks.common.settings import Settings

__all__ = ["PLUGINS", "Client"]

_log = logging.getLogger(__name__)

PLUGINS: Final = "clacks.client_commands"
"""Entry point group of commands that clients load."""

_DEVICES_AGAIN: Final = 10.0  # seconds between two looks at the network devices
_GOODBYE: Final = 5.0  # seconds that ClientLeave may take


class Client:
    """A managed client: it is known to the agents and carries out commands of its own.

    Use it as context manager, on the loop of its bus. Its login needs the role ``client`` and the right to
    ``announce`` its id.

    Args:
        bus: A started bus.
        registry: The event types.
        settings: ``client`` and where the state folder is.
        lifecycle: When to say what; an own one if None.
        devices: Returns the network devices.
        watch: Yields who is logged on at each change; by the settings if None.
        show: Shows a text to a user.

    Attributes:
        id: Its id on the bus.
        name: Its name for people.
        commands: What it can do; after registering more say `changed`.
        failures: Plug-ins that could not be loaded.

    Example:
        >>> async with Bus(url) as bus, Client(bus, registry, Settings()) as client:  # doctest: +SKIP
        ...     print(client.id)
        ...     await asyncio.Event().wait()
    """

    def __init__(
        self,
        bus: Bus,
        registry: SchemaRegistry,
        settings: Settings,
        *,
        lifecycle: Lifecycle | None = None,
        devices: Callable[[], tuple[NetworkDevice, ...]] = machine.network_devices,
        watch: Callable[[], AsyncIterator[tuple[str, ...]]] | None = None,
        show: Callable[[str, str, str, str, int], bool] = desktop.show,
    ) -> None:
        own = settings.client
        self.id = machine.check_id(own.id) if own.id else ""
        self.name = own.name or platform.node() or "client"
        self.commands = CommandTable(f"client {self.name}")
        self.failures: list[PluginFailure] = []
        self._bus = bus
        self._registry = registry
        self._settings = settings
        self._life = lifecycle if lifecycle is not None else Lifecycle()
        self._read_devices = devices
        self._watch = watch
        self._notify = NotifyCommand(lambda: self._users or (), show) if own.notify else None
        self._devices: tuple[NetworkDevice, ...] = ()
        self._users: tuple[str, ...] | None = None
        self._properties = {INSTANCE_PROPERTY: secrets.token_hex(8)}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._service: Service | None = None
        self._polls: Subscription | None = None
        self._notes: Subscription | None = None
        self._end_states: Callable[[], None] | None = None
        self._announced = asyncio.Event()
        self._publishing = asyncio.Lock()
        self.commands.register(BasicCommands(lambda: self.commands.commands, lambda: self._users or ()))
        if self._notify is not None:
            self.commands.register(self._notify)

    async def start(self) -> None:
        """Serve, and announce; return when the announcement has left.

        Raises:
            SettingsError: The id cannot be used.
            LinkRefused: The broker does not let this login do what a client does; the text says what.
        """
        if not self.id:
            self.id = await asyncio.to_thread(machine.kept_id, self._settings.state_dir)
        own = self._settings.client
        self._loop = asyncio.get_running_loop()
        context = PluginContext(self.id, self._registry, self._publish)
        _, self.failures = await asyncio.to_thread(
            register_plugins, self.commands.register, PLUGINS, own.commands, context
        )
        self._devices = await asyncio.to_thread(self._read_devices)
        # Polls first: one that comes while we announce ourselves must not be missed.
        self._polls = await self._bus.subscribe(kinds=["ClientPoll"])
        try:
            self._service = await self._bus.serve(
                self._answer, address=client_address(self._bus.domain, self.id), workers=4
            )
            self._life.connected(_now())
            for act in self._life.due(_now()):
                await self._do(act)
        except BaseException:
            await self._polls.close()
            self._polls = None
            raise
        self._end_states = self._bus.on_state(self._state_changed)
        if self._notify is not None:
            try:
                self._notes = await self._bus.subscribe(kinds=["Notification"])
            except LinkRefused as error:
                _log.warning("events of type Notification are not shown here: %s", error)
        self._tasks = [
            asyncio.create_task(self._live()),
            asyncio.create_task(self._hear(self._polls)),
            asyncio.create_task(self._look_at_devices()),
        ]
        if self._notes is not None and self._notify is not None:
            self._tasks.append(asyncio.create_task(self._show_notes(self._notes, self._notify)))
        if self._watch is not None or own.sessions != "none":
            self._tasks.append(asyncio.create_task(self._watch_sessions()))
        _log.info("client announced id=%s name=%s", self.id, self.name)

    async def close(self) -> None:
        """Take no more calls, let the running ones finish, and leave. Calling it again does nothing."""
        if self._end_states is not None:
            self._end_states()
            self._end_states = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for subscription in (self._polls, self._notes):
            if subscription is not None:
                await subscription.close()
        self._polls = self._notes = None
        service, self._service = self._service, None
        if service is not None:
            await service.close()
            for act in self._life.stop():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GOODBYE):
                        await self._do(act)
            _log.info("client left id=%s", self.id)

    async def __aenter__(self) -> Client:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def users(self) -> tuple[str, ...]:
        """Who is logged on, as far as is known."""
        return self._users or ()

    def changed(self) -> None:
        """Announce anew: commands were registered."""
        self._life.changed(_now())
        self._woken.set()

    # -- calls

    def _answer(self, request: Request, user: str, on_behalf_of: str | None) -> Any:
        if not any(fnmatch.fnmatchcase(user, glob) for glob in self._settings.client.callers):
            raise CommandError(FORBIDDEN, f"{user} may not call commands of this client")
        # Agents alone are let in, and they have checked the rights of whom they speak for.
        return self.commands.run(request, on_behalf_of or user)

    # -- events

    async def _live(self) -> None:
        while True:
            for act in self._life.due(_now()):
                await self._do(act)
            at = self._life.next
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if at is None else max(0.0, at - _now())):
                    await self._woken.wait()
            self._woken.clear()

    async def _do(self, act: Act) -> None:
        match act:
            case Act.ANNOUNCE:
                await self._send(
                    announcement(
                        self._registry,
                        self.id,
                        self.name,
                        self._devices,
                        self.commands.commands.values(),
                        client_address(self._bus.domain, self.id),
                    )
                )
                self._announced.set()
                if self._users is not None:
                    # Who polls has lost its table, and with it who is logged on here.
                    await self._tell_users(self._users)
            case Act.PING | Act.LEAVE:
                await self._send(self._registry.from_dict(act.value, {"Id": self.id}))

    async def _tell_users(self, users: tuple[str, ...]) -> None:
        await self._send(
            self._registry.from_dict("UserSession", {"Id": self.id, "User": {"Name": list(users)}})
        )

    def _publish(self, event: Event) -> None:
        """Send an event from the worker thread of a command."""
        assert self._loop is not None
        publish_from_thread(self._bus, self._loop, event)

    async def _send(self, event: Event) -> None:
        try:
            async with self._publishing:  # in the order in which they were decided
                if not await self._bus.publish(event, properties=self._properties):
                    _log.warning("an event was not sent kind=%s id=%s", event.kind, self.id)
        except LinkRefused:
            if not self._announced.is_set():
                raise  # at the start: the caller must know
            _log.exception("an event was refused kind=%s id=%s", event.kind, self.id)
        except BusError as error:
            _log.warning("an event was not sent kind=%s id=%s reason=%s", event.kind, self.id, error)

    async def _hear(self, polls: Subscription) -> None:
        async for received in polls.messages():
            wanted = received.properties.get(WANTED_PROPERTY)
            if isinstance(wanted, str) and self.id not in wanted.split():
                continue
            clients = received.properties.get(CLIENTS_PROPERTY)
            self._life.polled(_now(), clients if isinstance(clients, int) else 0)
            self._woken.set()

    async def _show_notes(self, notes: Subscription, notify: NotifyCommand) -> None:
        """Show events of type Notification to the users that they are for, if these are logged on here."""
        async for event in notes:
            told = event.to_dict()
            timeout = told.get("Timeout")
            try:
                shown = await asyncio.to_thread(
                    notify.notify,
                    told["Target"],
                    told.get("Title") or "",
                    told["Body"],
                    told.get("Icon") or "",
                    -1 if timeout is None else timeout,
                )
            except CommandError as error:
                _log.warning("a Notification was not shown reason=%s", error)
                continue
            if shown:
                _log.info("a Notification was shown n=%d", len(shown))

    def _state_changed(self, change: StateChange) -> None:
        if change.state is BusState.CONNECTED:
            self._life.connected(_now())
        else:
            self._life.lost()
        self._woken.set()

    async def _look_at_devices(self) -> None:
        while True:
            await asyncio.sleep(_DEVICES_AGAIN)
            try:
                found = await asyncio.to_thread(self._read_devices)
            except OSError as error:
                _log.warning("network devices cannot be read reason=%s", error)
                continue
            if found != self._devices:
                _log.info("network devices changed id=%s", self.id)
                self._devices = found
                self.changed()

    async def _watch_sessions(self) -> None:
        own = self._settings.client
        watch = self._watch or (lambda: sessions(own.sessions, utmp=own.utmp))
        async for users in watch():
            try:
                self._registry.from_dict("UserSession", {"Id": self.id, "User": {"Name": list(users)}})
            except InvalidEvent as error:
                _log.warning("users with a name that no event can hold: %s", error)
                continue
            self._users = users
            _log.debug("users id=%s n=%d", self.id, len(users))
            await self._tell_users(users)


def _now() -> float:
    return time.monotonic()
