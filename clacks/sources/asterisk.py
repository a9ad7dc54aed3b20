"""The Asterisk source: a connection to its manager interface, kept alive; calls and queues as events."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from clacks.common.backoff import Backoff
from clacks.common.errors import BusError, InvalidEvent
from clacks.common.limits import DEFAULT_LIMITS, Limits
from clacks.common.schema import SchemaRegistry
from clacks.common.settings_parts import AsteriskSettings
from clacks.net.streams import Stream, open_stream
from clacks.sources.ami import AmiError, AmiSession, Happened, Ready, Refused
from clacks.sources.calls import AskQueue, CallWatch, Plan, fact_event
from clacks.sources.outbox import Outbox, Publish

__all__ = ["AsteriskSource"]

_log = logging.getLogger(__name__)

_PING: Final = 30.0  # seconds of silence after which we ask whether Asterisk is there
_REFUSED: Final = 60.0  # seconds before a refused login is tried again


class _LoginRefused(Exception):
    """Asterisk does not take our login."""


class AsteriskSource:
    """Listens to Asterisk and publishes what happens.

    Args:
        registry: The event types.
        settings: Where Asterisk is and how numbers are dialled.
        secret: The secret of the user in manager.conf.
        publish: Sends an event.
        limits: Sizes.
        backoff: The pauses between attempts.

    Attributes:
        connections: How often a login was accepted.
        refused: Events that could not be told.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        settings: AsteriskSettings,
        secret: str,
        publish: Publish,
        *,
        limits: Limits = DEFAULT_LIMITS,
        backoff: Backoff | None = None,
        ping: float = _PING,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._secret = secret
        self._limits = limits
        self._backoff = backoff if backoff is not None else Backoff(first=0.5)
        self._ping = ping
        self._outbox = Outbox(publish)
        self._watch = CallWatch(Plan(settings.country, settings.area, settings.trunk), limits)
        self.connections = 0
        self.refused = 0

    async def run(self) -> None:
        """Listen and publish until cancelled; a lost connection is made again.

        Raises:
            SettingsError: The file of authorities cannot be used.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._outbox.run())
            group.create_task(self._keep())

    async def _keep(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        while True:
            at_least = 0.0
            try:
                async with open_stream(
                    settings.host, settings.port, tls=settings.tls, ca=settings.ca_file
                ) as stream:
                    await self._listen(stream)
                reason = "it closed the connection"
            except _LoginRefused as error:
                reason, at_least = f"it refuses the login of {settings.user}: {error}", _REFUSED
            except (BusError, AmiError) as error:
                reason = str(error)
            pause = self._backoff.failed(loop.time(), random.random, at_least=at_least)
            _log.warning(
                "no connection to Asterisk, trying again in %.1f s host=%s port=%d reason=%s",
                pause,
                settings.host,
                settings.port,
                reason,
            )
            await asyncio.sleep(pause)

    async def _listen(self, stream: Stream) -> None:
        """Serve one connection until it ends."""
        session = AmiSession(self._settings.user, self._secret, self._limits)
        # Calls that went on meanwhile ended unheard: what we knew of them is worth nothing.
        self._watch = CallWatch(
            Plan(self._settings.country, self._settings.area, self._settings.trunk), self._limits
        )
        asked = False
        while True:
            try:
                async with asyncio.timeout(self._ping):
                    data = await stream.read()
            except TimeoutError:
                if asked:
                    raise AmiError("it fell silent") from None
                asked = True
                session.action("Ping")
                await stream.write(session.to_send())
                continue
            asked = False
            if not data:
                return
            for event in session.receive(data):
                self._take(session, event)
            if out := session.to_send():
                await stream.write(out)

    def _take(self, session: AmiSession, event: Ready | Refused | Happened) -> None:
        match event:
            case Ready(version):
                self.connections += 1
                self._backoff.succeeded(asyncio.get_running_loop().time())
                _log.info("connected to Asterisk host=%s interface=%s", self._settings.host, version)
                session.action("QueueSummary")
            case Refused(reason):
                raise _LoginRefused(reason)
            case Happened(name, fields):
                for fact in self._watch.take(name, fields, time.time()):
                    if isinstance(fact, AskQueue):
                        session.action("QueueSummary", Queue=fact.name)
                        continue
                    try:
                        self._outbox.put(fact_event(self._registry, fact))
                    except InvalidEvent as error:
                        self.refused += 1
                        self._outbox.warn("what Asterisk said cannot be told", f"reason={error}")
