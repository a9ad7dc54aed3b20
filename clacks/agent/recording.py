"""The agent that records: it fills the event log and answers for it and for the key/value store on the bus.

Two ways lead into the log. What is published is received like by any other subscriber, and recorded: all
events or chosen types, committed in batches. What is published with ``stored=True`` comes as a call of
``recordEvent``: committed first, then published, then answered with its log id. Both ways meet: an event
that the recorder published comes back to it as a subscriber, and is known.

What was committed and perhaps not published, because the process or its connection ended in between, is
published when there is a connection again, under its own id and with the property ``clacks_again``, by which
subscriptions know a possible double (``bus.joining``).
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import logging
import re
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TypeVar

from clacks.agent.command import CommandRegistry
from clacks.agent.history import History
from clacks.amqp.eventmessage import RESERVED, EventIdentity
from clacks.bus import Bus, BusState, Received, Service, StateChange, Subscription
from clacks.bus.joining import AGAIN, LOG_ID
from clacks.bus.recording import LOG_QUEUE
from clacks.common.address import command_address
from clacks.common.command import Command, event_refused
from clacks.common.errors import (
    BusError,
    ClacksError,
    CommandError,
    ConnectionLost,
    EventError,
    InvalidEvent,
    LinkRefused,
    StoreError,
)
from clacks.common.event import EVENTS_NS, Event
from clacks.common.jsonrpc import FORBIDDEN, INVALID_PARAMS, UNAVAILABLE, Request
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.metrics import Metrics
from clacks.common.presence import speaker_of
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import LogSettings
from clacks.store import EventLog, KeyValue, LogEntry, LogId, NewEntry, Page, Retention, Store

__all__ = ["Recorder", "SettledLog"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

WAITING_EVENTS: Final = 100_000
"""Events that may wait to be recorded while the disk is busy: half a minute at load. Then the oldest are
dropped, counted."""
WAITING_BYTES: Final = 128 * 1024 * 1024
"""Bytes that may wait to be recorded."""

_BATCH: Final = 1000  # received events in one append
_PAUSE: Final = 0.2
"""Seconds that a received event waits for others when none do: at twenty a second a commit for each would be
a quarter of what events cost. Who reads the log or stores an event ends the wait; a kill loses what waits."""
_WORKERS: Final = 256  # calls of the queue "log" at the same time: they mostly wait for a commit
_CLAIMS: Final = 8  # questions to whoever else serves the claim: brokers give them out in turn
_PRUNE: Final = 60.0  # seconds between two looks at how much there is
_PATIENCE: Final = 30.0  # seconds that a command waits for the store
_BEHALF: Final = "clacks_on_behalf_of"


class SettledLog:
    """Reads an event log once what was received is in it: one who comes now must not miss what just went by.

    Args:
        log: The log.
        settled: Waits until what was received by now is recorded.
    """

    def __init__(self, log: EventLog, settled: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._log = log
        self._settled = settled

    async def read(self, **selection: Any) -> Page:
        """Read events, see `EventLog.read`."""
        await self._settled()
        return await self._log.read(**selection)

    async def keys(self, kind: str) -> list[str]:
        """Return the keys of a type."""
        await self._settled()
        return await self._log.keys(kind)


class Recorder:
    """Records events and serves what is recorded. Use it as context manager, on the loop of its bus.

    It serves the command queue ``log``; its commands are those of its agent as well.

    Args:
        bus: A started bus; its login needs the rights of the role ``agent``.
        registry: The event types.
        store: A started store. Who opened it closes it, after the recorder.
        commands: The commands of the agent, whose rights count.
        node: Name of the agent.
        settings: What is recorded and how much is kept.
        limits: Sizes of pages.
        metrics: Where to count; those of the bus if None.

    Example:
        >>> async with (  # doctest: +SKIP
        ...     bus,
        ...     Agent(bus, registry, settings) as agent,
        ...     open_store("log.sqlite") as store,
        ...     Recorder(bus, registry, store, commands=agent.commands, node=agent.node),
        ... ):
        ...     await asyncio.Event().wait()
    """

    def __init__(
        self,
        bus: Bus,
        registry: SchemaRegistry,
        store: Store,
        *,
        commands: CommandRegistry,
        node: str,
        settings: LogSettings | None = None,
        limits: Limits = DEFAULT_LIMITS,
        metrics: Metrics | None = None,
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._store = store
        self._commands = commands
        self._node = node
        self._settings = settings if settings is not None else LogSettings()
        self._metrics = metrics if metrics is not None else bus.metrics
        self._wanted = _chosen(self._settings.types)
        self._history = History(registry, store, lambda: commands.rights, limits, self._wait, self._settled)
        self._recorded = self._metrics.counter("events_recorded")
        self._token = uuid.uuid4().hex
        self._firm = False
        """Whether nobody else was there when we claimed to record."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._services: list[Service] = []
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._taken = 0
        self._committed = 0
        self._pausing: asyncio.Future[None] | None = None
        self._doubtful: dict[LogId, LogEntry] = {}
        """Committed, and perhaps not published."""
        self._republishing: asyncio.Task[None] | None = None
        self._end_state: Callable[[], None] | None = None
        self._keys: dict[str, str | None] = {}
        self._before = commands.record
        """Who recorded for the commands of the agent when it was not us."""
        self._warned = float("-inf")

    # -- life

    async def start(self) -> None:
        """Claim to record, and begin.

        Raises:
            StoreError: Somebody else records events of this domain already.
            LinkRefused: The broker does not let this login read events or serve commands.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if not self._store.shared:
                await self._claim()
            for entry in await self._store.log.unpublished():
                self._doubtful[entry.id] = entry
            self._commands.register(self)
            self._commands.register(self._history)
            self._commands.record = self._record_here
            self._subscription = await self._bus.subscribe(
                kinds=self._plain_kinds(), queue_events=WAITING_EVENTS, queue_bytes=WAITING_BYTES
            )
            # Before anything new, so that the order on the bus stays that of the log: readers remember how
            # far they came by the log id of what they got last.
            if self._doubtful:
                await self._publish_again()
            self._services.append(
                await self._bus.serve(self._answer, queue=LOG_QUEUE, node=self._node, workers=_WORKERS)
            )
        except BaseException:
            await self.close()
            raise
        self._end_state = self._bus.on_state(self._state_changed)
        self._tasks = [
            asyncio.create_task(self._record_received(self._subscription), name="recorder"),
            asyncio.create_task(self._prune_now_and_then(), name="recorder pruning"),
        ]
        self._publish_doubtful()
        _log.info("recording node=%s store=%s", self._node, self._store.where)

    async def close(self) -> None:
        """Take no more calls, record what was received, and stop. Calling it again does nothing."""
        if self._end_state is not None:
            self._end_state()
            self._end_state = None
        services, self._services = self._services, []
        for service in services:
            await service.close()
        if self._commands.record == self._record_here:
            self._commands.record = self._before
        if self._subscription is not None:
            await self._subscription.close()  # what waits in it is still read
        self._hurry()
        tasks, self._tasks = self._tasks, []
        for task in tasks[1:]:
            task.cancel()
        if self._republishing is not None:
            self._republishing.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(task, 5.0)

    async def __aenter__(self) -> Recorder:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _claim(self) -> None:
        """Make sure that nobody else records this domain.

        The claim is a command queue of its own. Whoever wants to record serves it first and then asks it who
        is there: brokers give the calls of a queue out in turn, so if somebody else serves it, too, some of
        the answers are not our own. Who was there before stays; of two who come at once the smaller token.
        """
        address = command_address(self._bus.domain, LOG_QUEUE, "0")
        self._services.append(await self._bus.serve(self._claimed, address=address, workers=_CLAIMS))
        # Ask often enough, and all at once: as many calls as a queue gives to one server before the next.
        questions = (
            self._bus.request(Request("getRecorder", (self._token,)), address=address, timeout=5.0)
            for _ in range(3 * _CLAIMS)
        )
        for answer in await asyncio.gather(*questions, return_exceptions=True):
            if isinstance(answer, CommandError):
                continue
            if isinstance(answer, BaseException):
                raise answer
            if answer["token"] != self._token and (answer["firm"] or answer["token"] < self._token):
                raise StoreError(
                    f"agent {answer['node']} records the events of {self._bus.domain} already, into "
                    f"{answer['store']}; with SQLite a domain has one recorder: start this agent with "
                    "--no-record, or let both record into one Redis"
                )
        self._firm = True

    async def _claimed(self, request: Request, user: str, on_behalf_of: str | None) -> Any:
        # Most of the questions come back to who asked: nobody called us, and the audit log need not say so.
        if tuple(request.params) != (self._token,):
            self._commands.admit(request.method, user, on_behalf_of)
        # The place tells apart the kinds of store, not more: it is a path of this machine.
        kind = "Redis" if self._store.shared else "SQLite"
        return {"node": self._node, "store": kind, "token": self._token, "firm": self._firm}

    def _state_changed(self, change: StateChange) -> None:
        if change.state is BusState.CONNECTED:
            self._publish_doubtful()

    # -- what is received

    def _plain_kinds(self) -> list[str] | None:
        """Return the types to subscribe to, where they are names and not patterns."""
        types = self._settings.types
        return None if any(sign in name for name in types for sign in "*?[") else list(types)

    async def _record_received(self, events: Subscription) -> None:
        messages = events.messages()
        async for received in messages:
            self._taken += 1
            if not events.waiting:
                await self._pause()
            batch = [received]
            while events.waiting and len(batch) < _BATCH:
                batch.append(await anext(messages))
                self._taken += 1
            entries = [entry for entry in map(self._entry, batch) if entry is not None]
            try:
                answers = await self._store.log.append(entries)
                self._recorded.value += sum(not answer.known for answer in answers)
            except StoreError as error:
                self._not_recorded(len(entries), error)
            self._committed += len(batch)

    async def _pause(self) -> None:
        """Let others come along into the next commit; `_hurry` ends it."""
        loop = asyncio.get_running_loop()
        self._pausing = loop.create_future()
        timer = loop.call_later(_PAUSE, self._hurry)
        try:
            await self._pausing
        finally:
            timer.cancel()
            self._pausing = None

    def _hurry(self) -> bool:
        """Have what was received committed now; tell whether it waited."""
        pausing = self._pausing
        if pausing is None or pausing.done():
            return False
        pausing.set_result(None)
        return True

    def _not_recorded(self, n: int, error: StoreError) -> None:
        self._metrics.counter("events_dropped", reason="event log").value += n
        now = time.monotonic()
        level = logging.ERROR if now - self._warned >= 10.0 else logging.DEBUG
        if level == logging.ERROR:
            self._warned = now
        _log.log(level, "events were not recorded n=%d reason=%s", n, error)

    def _entry(self, received: Received) -> NewEntry | None:
        kind = received.event.kind
        if not self._wanted(kind):
            return None
        properties = received.properties
        if LOG_ID in properties and received.user is not None and received.user == self._bus.user:
            return None  # of ours: it is in the log
        id_ = properties.get("cloudEvents_id")
        key, expires = self._index(received.event)
        return NewEntry(
            id_ if isinstance(id_, str) and id_ else f"log-{uuid.uuid4().hex}",
            kind,
            str(properties.get("cloudEvents_source", "")),
            _micros(properties.get("cloudEvents_time")),
            received.event.xml,
            received.user,
            False,
            key,
            expires,
            {
                name: value
                for name, value in properties.items()
                if name not in RESERVED
                and (value is None or type(value) in (str, int, float, bool))
                and name not in (LOG_ID, AGAIN)
            }
            if len(properties) > 5
            else {},
        )

    def _index(self, event: Event) -> tuple[str | None, int | None]:
        """Return what an event is found by within its type, and when it expires."""
        kind = event.kind
        if kind not in self._keys:
            try:
                key = "Topic" if kind == "TopicMessage" else self._registry.annotations(kind).key
            except InvalidEvent:
                key = None
            self._keys[kind] = f"{{{EVENTS_NS}}}{key}" if key else None
        tag = self._keys[kind]
        if tag is None:
            return None, None
        content = event.root[0]
        key = content.findtext(tag) or None
        if kind != "TopicMessage":
            return key, None
        ttl = content.findtext(f"{{{EVENTS_NS}}}Ttl")
        if ttl is None:
            return key, None
        start = int(content.findtext(f"{{{EVENTS_NS}}}Timestamp") or 0)
        return key, max(0, min(start + int(float(ttl) * 1000), (1 << 62)))

    async def settled(self) -> None:
        """Wait until what was received by now is recorded; a second at most."""
        events = self._subscription
        if events is None:
            return
        wanted = self._taken + events.waiting
        end = time.monotonic() + 1.0
        while self._committed < wanted and time.monotonic() < end:
            self._hurry()
            await asyncio.sleep(0.002)

    def _settled(self) -> None:
        """Do the same on a worker thread."""
        events = self._subscription
        if events is not None and self._committed < self._taken + events.waiting:
            self._wait(self.settled())

    # -- for a gateway in this process

    @property
    def log(self) -> SettledLog:
        """The event log, with all that was received by now."""
        return SettledLog(self._store.log, self.settled)

    @property
    def values(self) -> KeyValue:
        """The keys and values beside the log."""
        return self._store.values

    # -- what is promised

    async def _answer(self, request: Request, user: str, on_behalf_of: str | None) -> Any:
        """Answer a call of the queue ``log``: what only waits for a commit needs no thread."""
        if request.method != "recordEvent":
            return await asyncio.to_thread(self._commands.dispatch, request, user, on_behalf_of)
        caller = self._commands.admit(request.method, user, on_behalf_of)
        command = self._commands.find(request.method)
        assert command is not None
        places, names = command.signature.bind(request.params)
        try:
            return await self.record(caller, *places, **names)
        except EventError as error:
            raise event_refused(error) from error

    async def record(
        self,
        user: str,
        data: str,
        id: str | None = None,  # noqa: A002 - the word of the wire
        source: str | None = None,
        time: int | None = None,
        properties: dict[str, Any] | None = None,
        expires: int | None = None,
    ) -> str:
        """Commit an event, publish it, and return its log id; what ``recordEvent`` does.

        Raises:
            EventError: It is no valid event.
            CommandError: The user may not publish it, or the log takes no events.
        """
        event = self._registry.receive(data)
        self._check_rights(user, event)
        more = _plain_properties(properties)
        now = datetime.now(UTC)
        key, ends = self._index(event)
        if expires is not None:
            ends = expires if ends is None else min(ends, expires)
        entry = NewEntry(
            id or uuid.uuid4().hex,
            event.kind,
            source or f"urn:clacks:user:{user}",
            time if time is not None else int(now.timestamp() * 1_000_000),
            event.xml,
            user,
            True,
            key,
            ends,
            more,
        )
        if self._hurry():
            await asyncio.sleep(0)  # what was received before it goes before it into the log
        try:
            (answer,) = await self._store.log.append([entry])
        except StoreError as error:
            raise CommandError(UNAVAILABLE, f"the event log takes no events: {error.reason}") from error
        if not answer.known:
            self._recorded.value += 1
            recorded = LogEntry(answer.id, entry)
            # What fails now is done again when there is a connection: it is in the log.
            with contextlib.suppress(ConnectionLost):
                await self._publish(recorded, event)
        return str(answer.id)

    def _check_rights(self, user: str, event: Event) -> None:
        rights = self._commands.rights
        if not rights.may_publish(user, event.kind):
            raise CommandError(FORBIDDEN, f"{user} may not publish {event.kind}")
        speaker = speaker_of(event)
        if speaker is not None and not rights.may_announce(user, speaker):
            raise CommandError(FORBIDDEN, f"{user} may not speak as {speaker[:100]!r}")

    async def _publish(self, entry: LogEntry, event: Event, *, again: bool = False) -> None:
        """Publish a recorded event.

        Raises:
            ConnectionLost: Nobody knows whether the broker has it.
        """
        recorded = entry.event
        properties: dict[str, Any] = {
            **recorded.properties,
            LOG_ID: str(entry.id),
            _BEHALF: recorded.user or "",
        }
        if again:
            properties[AGAIN] = True
        expires = None
        if recorded.expires is not None and recorded.kind != "TopicMessage":
            expires = datetime.fromtimestamp(recorded.expires / 1000, UTC)
        self._doubtful[entry.id] = entry
        try:
            await self._bus.publish_confirmed(
                event,
                EventIdentity(recorded.event_id, recorded.source, recorded.time),
                properties,
                expires,
            )
        except LinkRefused as error:
            _log.error("a stored event cannot be published kind=%s reason=%s", recorded.kind, error)
        self._doubtful.pop(entry.id, None)
        self._store.log.published(entry.id)

    def _publish_doubtful(self) -> None:
        if self._doubtful and (self._republishing is None or self._republishing.done()):
            self._republishing = asyncio.create_task(self._publish_again(), name="recorder publishing again")

    async def _publish_again(self) -> None:
        # Those now, not those that are on their way meanwhile.
        doubtful = sorted(self._doubtful)
        _log.warning("publishing again what was perhaps not published n=%d", len(doubtful))
        for id_ in doubtful:
            entry = self._doubtful.get(id_)
            if entry is None:
                continue
            try:
                event = self._registry.receive(entry.event.xml, newer_ok=True)
                await self._publish(entry, event, again=True)
            except EventError as error:
                _log.error("a stored event is not valid any more kind=%s: %s", entry.event.kind, error)
                self._doubtful.pop(id_, None)
                self._store.log.published(id_)
            except BusError:
                return  # at the next connection

    def _record_here(self, event: Event, user: str) -> str:
        """Record an event for ``sendEvent``, on a worker thread."""
        return self._wait(self.record(user, event.xml.decode("utf-8")))

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Carry out a coroutine on the loop and wait for it, on a worker thread.

        Raises:
            CommandError: The store cannot do it, or not in time.
        """
        assert self._loop is not None
        done = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return done.result(_PATIENCE)
        except TimeoutError:
            done.cancel()
            raise CommandError(UNAVAILABLE, f"the store did not answer for {_PATIENCE:g} seconds") from None
        except StoreError as error:
            raise CommandError(UNAVAILABLE, error.reason) from error

    @Command(needs_user=True)
    def recordEvent(
        self,
        user: str,
        data: str,
        id: str | None = None,  # noqa: A002 - the word of the wire
        source: str | None = None,
        time: int | None = None,
        properties: dict[str, Any] | None = None,
        expires: int | None = None,
    ) -> str:
        """Commit an event to the event log, publish it, and return its log id.

        ``id``, ``source``, ``time`` (microseconds since 1970) and ``properties`` are those of its message,
        ``expires`` is in milliseconds since 1970. The same event with the same id is recorded once, and gets
        the same log id, however often it is asked for.
        """
        return self._wait(self.record(user, data, id, source, time, properties, expires))

    # -- keeping it small

    @property
    def _retention(self) -> Retention:
        kept = self._settings
        return Retention(kept.keep_seconds, kept.keep_events, kept.keep_bytes)

    async def _prune_now_and_then(self) -> None:
        while True:
            try:
                went = await self._store.log.prune(self._retention, int(time.time() * 1000))
                if went:
                    _log.info("pruned the event log n=%d", went)
            except ClacksError as error:
                _log.error("the event log was not pruned: %s", error)
            await asyncio.sleep(_PRUNE)


def _chosen(types: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a test for the types that are to be recorded."""
    if "*" in types:
        return lambda kind: True
    pattern = re.compile("|".join(fnmatch.translate(glob) for glob in types) or r"(?!)")
    return lambda kind: pattern.match(kind) is not None


def _micros(value: object) -> int:
    """Return the time of an event, in microseconds since 1970; now if it says none."""
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            return round(at.timestamp() * 1_000_000)
    return int(time.time() * 1_000_000)


def _plain_properties(properties: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the further properties of an event. Raises CommandError if they cannot be some."""
    for name, value in (properties or {}).items():
        if name in RESERVED or name in (LOG_ID, AGAIN, _BEHALF):
            raise CommandError(INVALID_PARAMS, f"the property {name[:100]} is written by the bus itself")
        if not (value is None or isinstance(value, (str, int, float, bool))):
            raise CommandError(INVALID_PARAMS, f"the property {name[:100]} is no text, number or truth value")
    return properties or {}
